"""Explain a failed image build in one line: the package or the line of the Dockerfile, and where the log is."""

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
        own: Whether Trainstack wrote the Dockerfile; the error then names packages instead of lines.
    """
    subject = f"environment {name}"
    failed = _failed_step(failure.lines)
    lines = [_STAMP.sub("", line).rstrip() for line in failed]
    text = " ".join(lines)
    refused = re.search(r"(?:executor failed running|process) .*\]: (?!exit code)(.*)", lines[-1]) if lines else None
    if refused and not _ENDED.search(text):
        return TrainstackError(f"{subject}: the Docker engine could not run a step: {refused[1][:300]} (see {log})")
    if "No space left on device" in text or "no space left on device" in text:
        return TrainstackError(
            f"{subject}: disk full on the Docker engine's machine: free some space and run again (see {log})"
        )
    if base := _base_missing(failure.lines):
        return TrainstackError(f"{subject}: {base} (see {log})")
    if own:
        if "No interpreter found" in text or "python-build-standalone" in text:
            return TrainstackError(
                f"{subject}: the base image has no such Python and uv could not download it: name a base image with it "
                f"(see {log})"
            )
        if any(line.startswith(" > [installer") for line in failure.lines):
            reason = _last_words(failure.lines)
            return TrainstackError(
                f"{subject}: uv cannot be installed into the base image with pip: {reason} (see {log})"
            )
        return uv_command.uv_error(CommandFailedError(str(failure), lines), subject, log)
    parse = _PARSE.search(text)
    if parse:
        return TrainstackError(f"{subject}: line {parse[1]} of its Dockerfile: {parse[2][:200]} (see {log})")
    number, instruction = failed_line(failure.lines, dockerfile)
    where = f"line {number} of its Dockerfile failed ({instruction[:80]})" if number else "its image cannot be built"
    ended = _ENDED.search(text)
    code = f" with exit code {ended[1] or ended[2]}" if ended else ""
    return TrainstackError(f"{subject}: {where}{code}: {_last_words(failure.lines)} (see {log})")


def _failed_step(lines: list[str]) -> list[str]:
    """The lines of the step at which BuildKit ended, or of all steps where the output does not name it."""
    number = next((error[1] for line in reversed(lines) if (error := re.match(r"^#(\d+) ERROR", line))), None)
    return [line for line in lines if line.startswith(f"#{number} ")] if number else lines


def failed_line(lines: list[str], dockerfile: str) -> tuple[int, str]:
    """Find the line of a Dockerfile at which a build ended; 0 where its output does not tell."""
    instructions = list(_instructions(dockerfile))
    for line in reversed(lines):
        if match := _BUILDKIT_LINE.match(_STAMP.sub("", line).strip()):
            number = int(match[1])
            return next(((at, text) for at, last, text in instructions if at <= number <= last), (number, ""))
    step = next((match["what"] for line in reversed(lines) if (match := _FAILED_STEP.match(line))), "")
    step = step or next((match[1] for line in reversed(lines) if (match := _CLASSIC_STEP.match(line))), "")
    step = " ".join(step.split())
    matching = [(at, text) for at, _, text in instructions if step and _same(text, step)]
    return matching[-1] if matching else (0, "")


def _same(written: str, displayed: str) -> bool:
    """Whether a step as BuildKit displays it (without mounts, cut short, arguments filled in) is that instruction."""
    bare = re.sub(r" --(?:mount|network|security)=\S+", "", written)
    fixed, mark, _ = bare.partition("$")
    if mark and displayed.startswith(fixed):
        return True
    length = min(len(bare), len(displayed.rstrip("…").rstrip(".")))
    return bare[:length] == displayed[:length]


def _instructions(dockerfile: str) -> list[tuple[int, int, str]]:
    """First line, last line and text of each instruction, continuations joined."""
    instructions: list[tuple[int, int, str]] = []
    first, words = 0, list[str]()
    for number, line in enumerate(dockerfile.splitlines(), 1):
        bare = line.strip()
        if not bare or bare.startswith("#"):
            continue
        first = first or number
        words += bare.removesuffix("\\").split()
        if not bare.endswith("\\"):
            instructions.append((first, number, " ".join(words)))
            first, words = 0, []
    return instructions


def _base_missing(lines: list[str]) -> str:
    looked_for: dict[str, str] = {}
    image = ""
    for line in lines:
        if match := _METADATA.match(line):
            looked_for[match[1]] = match[2]
        elif (failed := re.match(r"^#(\d+) ERROR", line)) and failed[1] in looked_for:
            image = looked_for[failed[1]]
        elif match := re.search(r"(?:pull access denied for|manifest for) ([\w./:@-]+)", line):
            image = match[1].rstrip(",:")
    return f"base image {image} is not to be had: check its name, or `docker login`" if image else ""


def _last_words(lines: list[str]) -> str:
    """The last line that the failing step itself printed."""
    for line in reversed(lines):
        message = _STAMP.sub("", line).strip()
        if (
            message
            and not _NOISE.match(message)
            and not message.startswith(("ERROR", "error:", "failed to solve", "Dockerfile:"))
        ):
            return message[:300]
    return "it printed nothing"
