"""Read requirements files as pip and uv do: continuations, comments, encodings, includes, constraints, options.

The format: https://pip.pypa.io/en/stable/reference/requirements-file-format/.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from trainstack.errors import InvalidInputError

HASH = re.compile(r"\s--hash[= ](sha256:[0-9a-f]{64}|\S+)")
_COMMENT = re.compile(r"(^|\s)#.*$")
_OPTION = re.compile(r"(--?[A-Za-z][\w-]*)[ =]*(.*)")
_SHORT = re.compile(r"\A-([rcefi])(?=[^\s=-])")
_CODING = re.compile(rb"coding[:=]\s*([-\w.]+)")
_VARIABLE = re.compile(r"\$\{([A-Z0-9_]+)\}")
# Longest first: the mark of UTF-16 is the start of that of UTF-32.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_INCLUDES = ("-r", "--requirement", "--requirements")
_CONSTRAINTS = ("-c", "--constraint", "--constraints")
_EDITABLE = ("-e", "--editable")
# They say how to install what is listed, and change nothing of what that is.
_HARMLESS = ("--require-hashes", "--prefer-binary", "--no-cache-dir", "--disable-pip-version-check", "--use-feature")
_SETTINGS = {
    "-i": "UV_DEFAULT_INDEX",
    "--index-url": "UV_DEFAULT_INDEX",
    "--pypi-url": "UV_DEFAULT_INDEX",
    "--extra-index-url": "UV_INDEX",
    "-f": "UV_FIND_LINKS",
    "--find-links": "UV_FIND_LINKS",
    "--trusted-host": "UV_INSECURE_HOST",
    "--no-index": "UV_NO_INDEX",
    "--pre": "UV_PRERELEASE=allow",
}


@dataclass
class Requirements:
    """What requirements files and a conda file's pip list ask for.

    Attributes:
        packages: Requirement lines with their hashes, in order.
        constraints: Lines that bound versions of packages without asking for them.
    """

    packages: list[str] = field(default_factory=list[str])
    constraints: list[str] = field(default_factory=list[str])

    @property
    def plain(self) -> list[str]:
        """The packages without their hashes."""
        return [HASH.sub("", f" {line}").strip() for line in self.packages]

    @property
    def lock(self) -> str | None:
        """The text as a lock, where its lines carry hashes."""
        hashed = any(HASH.search(f" {line}") for line in self.packages)
        return "\n".join(self.packages) + "\n" if hashed else None


def read_requirements_file(path: Path) -> Requirements:
    """Read a requirements file, with the files that it includes.

    Args:
        path: The file, in UTF-8, in what its byte order mark says, or in what a `coding:` comment says.

    Raises:
        InvalidInputError: It is missing, includes itself, or asks for what cannot be locked for other machines.
    """
    return _read(path, ())


def read_pip_list(lines: Iterable[str], folder: Path, source: str) -> Requirements:
    """Read lines that stand where a requirements file could, such as conda's `pip:` list.

    Args:
        lines: The lines; includes in them are relative to `folder`.
        folder: Where the file is that has them.
        source: What to call it in an error.

    Raises:
        InvalidInputError: As for a file.
    """
    return _collect(logical_lines("\n".join(lines)), folder, source, ())


def logical_lines(text: str) -> Iterator[str]:
    """Join continued lines, drop comments and empty lines, and write white space as one blank.

    A comment is never continued: a backslash at its end belongs to it.
    """
    pending = ""
    for line in [*text.splitlines(), ""]:
        comment = line.lstrip().startswith("#")
        if line.endswith("\\") and not comment:
            pending += line.rstrip("\\") + " "
            continue
        whole, pending = (pending if comment else pending + line), ""
        bare = _COMMENT.sub("", whole).strip()
        if bare:
            yield re.sub(r"\s+", " ", bare)


def decoded(raw: bytes) -> str:
    """Text of a requirements file, as PowerShell, editors and `coding:` comments write it.

    Raises:
        UnicodeDecodeError: It is in none of these.
        LookupError: The comment names an encoding that Python does not know.
    """
    for mark, encoding in _MARKS:
        if raw.startswith(mark):
            return raw[len(mark) :].decode(encoding)
    for line in raw.split(b"\n")[:2]:
        if line.startswith(b"#") and (match := _CODING.search(line)):
            return raw.decode(match[1].decode())
    return raw.decode()


def _read(path: Path, above: tuple[Path, ...]) -> Requirements:
    if path in above:
        raise InvalidInputError(f"requirements file {path} includes itself: remove that line", field="packages")
    try:
        text = decoded(path.read_bytes())
    except OSError as exc:
        raise InvalidInputError(
            f"requirements file {path} cannot be read ({exc.strerror}): check its path", field="packages"
        ) from exc
    except (UnicodeDecodeError, LookupError) as exc:
        raise InvalidInputError(
            f"requirements file {path} is no text in UTF-8 ({exc}): save it as UTF-8", field="packages"
        ) from exc
    return _collect(logical_lines(text), path.parent, str(path), (*above, path))


def _collect(lines: Iterable[str], folder: Path, source: str, above: tuple[Path, ...]) -> Requirements:
    requirements = Requirements()
    for line in lines:
        option, value = _option(line)
        if option in _INCLUDES or option in _CONSTRAINTS:
            included = _read(_local(folder, value, source, line), above)
            requirements.constraints += included.constraints
            if option in _INCLUDES:
                requirements.packages += included.packages
            else:
                requirements.constraints += included.plain
        elif option in _HARMLESS:
            continue
        else:
            requirements.packages.append(_requirement(line, option, value, source))
    return requirements


def _option(line: str) -> tuple[str, str]:
    """An option and its value, such as `-r` and `more.txt` of `-rmore.txt`; two empty texts for a package."""
    if not line.startswith("-"):
        return "", ""
    match = _OPTION.fullmatch(_SHORT.sub(r"-\1 ", line, count=1))
    return (match[1], match[2].strip().strip("'\"")) if match else (line, "")


def _local(folder: Path, value: str, source: str, line: str) -> Path:
    if "://" in value:
        raise InvalidInputError(
            f"{source}: {line!r} is a file on another machine, which may change unseen: keep a copy beside it",
            field="packages",
        )
    return folder / value


def _requirement(line: str, option: str, value: str, source: str) -> str:
    if match := _VARIABLE.search(line):
        raise InvalidInputError(
            f"{source}: {line!r} takes {match[1]} from the shell, which other machines do not have: write the line "
            "without it, and an index with a password into uv's own settings (UV_INDEX)",
            field="packages",
        )
    if option in _SETTINGS:
        raise InvalidInputError(
            f"{source}: {option} says where packages come from, which differs by machine: move it to the setting "
            f"{_SETTINGS[option]} of the shell that runs pulumi, and keep the other lines",
            field="packages",
        )
    target = value if option in _EDITABLE else line
    if re.match(r"(git|hg|svn|bzr)\+", target):
        raise InvalidInputError(
            f"{source}: {line!r} is a repository, which cannot be locked by hash for other machines: name the https "
            "address of an archive of that commit, as NAME @ https://…/COMMIT.zip",
            field="packages",
        )
    if option in _EDITABLE or target.startswith((".", "/", "~", "file:")):
        raise InvalidInputError(
            f"{source}: {line!r} is a folder on this machine, which a run elsewhere cannot have: "
            "put the code into the run's source directory or publish a wheel",
            field="packages",
        )
    if option:
        raise InvalidInputError(
            f"{source}: {option} is an installer's option that Trainstack does not know: take it out, and keep the "
            "other lines",
            field="packages",
        )
    return _named(line)


def _named(line: str) -> str:
    """Give the bare address of an archive the name that its file has."""
    address, _, rest = line.partition(" ")
    if not address.startswith(("https://", "http://")):
        return line
    from packaging.utils import InvalidSdistFilename, InvalidWheelFilename, parse_sdist_filename, parse_wheel_filename

    file = address.partition("#")[0].partition("?")[0].rpartition("/")[2]
    try:
        name = parse_wheel_filename(file)[0] if file.endswith(".whl") else parse_sdist_filename(file)[0]
    except (InvalidWheelFilename, InvalidSdistFilename) as exc:
        raise InvalidInputError(
            f"{line!r} does not say which package it is: write NAME @ {address}", field="packages"
        ) from exc
    return f"{name} @ {address}{f' {rest}' if rest else ''}"
