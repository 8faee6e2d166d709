"""Say in one line why an image could not be built: which package or line of the Dockerfile, and where the log is."""

from __future__ import annotations

import re
from pathlib import Path

from trainstack.core.environments import uv_command
from trainstack.errors import CommandFailedError, TrainstackError

_STAMP = re.compile(r"^#\d+ (?:\d+\.\d+ )?")
_FAILED_STEP = re.compile(r"^ > \[(?:(?P<stage>\S+) )?\d+/\d+\] (?P<what>.*?):?$")
_CLASSIC_STEP = re.compile(r"^Step \d+/\d+ : (.*)$")
_BUILDKIT_LINE = re.compile(r"Dockerfile:(\d+)$")
_METADATA = re.compile(r"^#(\d+) \[internal\] load metadata for (\S+)")
_PARSE = re.compile(r"(?:dockerfile parse error|Dockerfile parse error).*?line (\d+): (.*)", re.IGNORECASE)
_NOISE = re.compile(
    r"-+$|>+ \[|failed to solve|Dockerfile:\d|Step \d|--->|Removing intermediate|ERROR: (?:executor|process|failed)"
    r"|.*(?:executor failed running|did not complete successfully|returned a non-zero code)"
)
_ENDED = re.compile(r"exit code: (\d+)|returned a non-zero code: (\d+)")


def build_error(
    failure: CommandFailedError, name: str, dockerfile: str, log: Path, *, own: bool = True
) -> TrainstackError:
    """Return one line for a failed build.

    Args:
        failure: What the builder raised.
        name: The environment.
        dockerfile: The Dockerfile's text.
        log: File with the whole output.
        own: Whether the Dockerfile is ours, in which case its lines say nothing and the packages do.
    """
    what = f"environment {name}"
    failed = _failed_step(failure.lines)
    lines = [_STAMP.sub("", line).rstrip() for line in failed]
    text = " ".join(lines)
    refused = re.search(r"(?:executor failed running|process) .*\]: (?!exit code)(.*)", lines[-1]) if lines else None
    if refused and not _ENDED.search(text):
        return TrainstackError(f"{what}: the Docker engine could not run a step: {refused[1][:300]} (see {log})")
    if "No space left on device" in text or "no space left on device" in text:
        return TrainstackError(
            f"{what}: disk full on the Docker engine's machine: free some space and run again (see {log})"
        )
    if base := _base_missing(failure.lines):
        return TrainstackError(f"{what}: {base} (see {log})")
    if own:
        if "No interpreter found" in text or "python-build-standalone" in text:
            return TrainstackError(
                f"{what}: the base image has no such Python and uv could not download it: name a base image with it "
                f"(see {log})"
            )
        if any(line.startswith(" > [installer") for line in failure.lines):
            reason = _last_words(failure.lines)
            return TrainstackError(f"{what}: uv cannot be installed into the base image with pip: {reason} (see {log})")
        return uv_command.uv_error(CommandFailedError(str(failure), lines), what, log)
    parse = _PARSE.search(text)
    if parse:
        return TrainstackError(f"{what}: line {parse[1]} of its Dockerfile: {parse[2][:200]} (see {log})")
    number, instruction = failed_line(failure.lines, dockerfile)
    where = f"line {number} of its Dockerfile failed ({instruction[:80]})" if number else "its image cannot be built"
    ended = _ENDED.search(text)
    code = f" with exit code {ended[1] or ended[2]}" if ended else ""
    return TrainstackError(f"{what}: {where}{code}: {_last_words(failure.lines)} (see {log})")


def _failed_step(lines: list[str]) -> list[str]:
    """The lines of the step at which BuildKit ended, of all steps where there is no telling."""
    number = next((found[1] for line in reversed(lines) if (found := re.match(r"^#(\d+) ERROR", line))), None)
    return [line for line in lines if line.startswith(f"#{number} ")] if number else lines


def failed_line(lines: list[str], dockerfile: str) -> tuple[int, str]:
    """Find the line of a Dockerfile at which a build ended; 0 where its output does not tell."""
    instructions = list(_instructions(dockerfile))
    for line in reversed(lines):
        if found := _BUILDKIT_LINE.match(_STAMP.sub("", line).strip()):
            number = int(found[1])
            return next(((at, text) for at, last, text in instructions if at <= number <= last), (number, ""))
    said = next((found["what"] for line in reversed(lines) if (found := _FAILED_STEP.match(line))), "")
    said = said or next((found[1] for line in reversed(lines) if (found := _CLASSIC_STEP.match(line))), "")
    said = " ".join(said.split())
    matching = [(at, text) for at, _, text in instructions if said and _same(text, said)]
    return matching[-1] if matching else (0, "")


def _same(written: str, shown: str) -> bool:
    """Whether a step as it is shown (mounts left out, cut short, arguments filled in) is that instruction."""
    bare = re.sub(r" --(?:mount|network|security)=\S+", "", written)
    fixed, mark, _ = bare.partition("$")
    if mark and shown.startswith(fixed):
        return True
    length = min(len(bare), len(shown.rstrip("…").rstrip(".")))
    return bare[:length] == shown[:length]


def _instructions(dockerfile: str) -> list[tuple[int, int, str]]:
    """First line, last line and text of each instruction, continuations joined."""
    found: list[tuple[int, int, str]] = []
    first, words = 0, list[str]()
    for number, line in enumerate(dockerfile.splitlines(), 1):
        bare = line.strip()
        if not bare or bare.startswith("#"):
            continue
        first = first or number
        words += bare.removesuffix("\\").split()
        if not bare.endswith("\\"):
            found.append((first, number, " ".join(words)))
            first, words = 0, []
    return found


def _base_missing(lines: list[str]) -> str:
    looked_for: dict[str, str] = {}
    image = ""
    for line in lines:
        if found := _METADATA.match(line):
            looked_for[found[1]] = found[2]
        elif (failed := re.match(r"^#(\d+) ERROR", line)) and failed[1] in looked_for:
            image = looked_for[failed[1]]
        elif found := re.search(r"(?:pull access denied for|manifest for) ([\w./:@-]+)", line):
            image = found[1].rstrip(",:")
    return f"base image {image} is not to be had: check its name, or `docker login`" if image else ""


def _last_words(lines: list[str]) -> str:
    """The last line that the failing step itself printed."""
    for line in reversed(lines):
        said = _STAMP.sub("", line).strip()
        if (
            said
            and not _NOISE.match(said)
            and not said.startswith(("ERROR", "error:", "failed to solve", "Dockerfile:"))
        ):
            return said[:300]
    return "it printed nothing"
