"""Parse PEP 508 lines and hashed locks."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from dataclasses import dataclass

from trainstack.core.environments.requirements_file import HASH, logical_lines
from trainstack.errors import InvalidInputError


@dataclass(frozen=True)
class Pin:
    """One package of a lock.

    Attributes:
        name: Normalised name.
        version: Exact version, or the address of its archive.
        marker: When it applies, as PEP 508 says it; empty for always.
        text: The requirement and its hashes as the installer reads them.
    """

    name: str
    version: str
    marker: str
    text: str

    @property
    def line(self) -> str:
        """The pinned requirement, without its hashes."""
        pin = f"{self.name}=={self.version}"
        return f"{pin} ; {self.marker}" if self.marker else pin

    def applies(self, python: str) -> bool:
        """Whether the package belongs on this machine under that Python version."""
        if not self.marker:
            return True
        from packaging.markers import Marker

        return Marker(self.marker).evaluate(_marker_environment(python))


def checked_requirement(line: str) -> str:
    """Return a PEP 508 line in one canonical spelling, or say what is wrong with it.

    Args:
        line: For example `numpy>=1.26,<2`.

    Raises:
        InvalidInputError: It is not a requirement, or one that no other machine could install by hash.
    """
    from packaging.requirements import InvalidRequirement, Requirement
    from packaging.utils import canonicalize_name

    text = line.strip()
    if text.startswith("-"):
        raise InvalidInputError(
            f"package line {line!r} is an installer's option, not a package: drop it "
            "(an index is chosen with uv's own settings, such as UV_DEFAULT_INDEX)",
            field="packages",
        )
    try:
        requirement = Requirement(text)
    except InvalidRequirement as exc:
        reason = str(exc).partition("\n")[0]
        raise InvalidInputError(
            f"package line {line!r} is not a requirement ({reason}): write it like 'numpy==1.26.4'", field="packages"
        ) from exc
    if requirement.url is not None and not requirement.url.startswith(("https://", "http://")):
        raise InvalidInputError(
            f"package {requirement.name} comes from {requirement.url}, which cannot be locked by hash for other "
            "machines: publish a wheel and name its https address",
            field="packages",
        )
    requirement.name = canonicalize_name(requirement.name)
    return str(requirement)


@functools.lru_cache(maxsize=64)
def read_lock(text: str) -> tuple[Pin, ...]:
    """Parse a lock.

    Args:
        text: Lines such as `six==1.17.0 --hash=sha256:…`, continued by backslashes or not.

    Returns:
        Its packages, in the order of the text.

    Raises:
        InvalidInputError: A line is not pinned to one version, or has no hash.
    """
    from packaging.requirements import Requirement

    pins: list[Pin] = []
    for line in logical_lines(text):
        canonical = checked_requirement(HASH.sub("", f" {line}"))
        requirement = Requirement(canonical)
        marker = str(requirement.marker) if requirement.marker else ""
        versions = [spec.version for spec in requirement.specifier if spec.operator in ("==", "===")]
        if requirement.url is None and (len(versions) != 1 or len(requirement.specifier) != 1 or "*" in versions[0]):
            raise InvalidInputError(f"lock line {canonical!r} does not pin one version: lock it again", field="lock")
        hashes = [digest for digest in HASH.findall(f" {line}") if digest.startswith("sha256:")]
        if not hashes:
            raise InvalidInputError(f"lock line {canonical!r} has no sha256 hash: lock it with hashes", field="lock")
        source = f" @ {requirement.url}" if requirement.url else f"=={versions[0]}"
        parts = [f"{requirement.name}{source}" + (f" ; {marker}" if marker else "")]
        parts += [f"    --hash={digest}" for digest in sorted(set(hashes))]
        pins.append(Pin(requirement.name, requirement.url or versions[0], marker, " \\\n".join(parts) + "\n"))
    return tuple(pins)


def check_lock_covers(pins: Iterable[Pin], packages: Iterable[str], python: str) -> None:
    """Check that a user's lock holds the packages of the environment.

    Raises:
        InvalidInputError: A package is missing from it or pinned to a version that was not asked for.
    """
    from packaging.requirements import Requirement

    locked_versions = {pin.name: pin.version for pin in pins if pin.applies(python)}
    for line in packages:
        requirement = Requirement(line)
        if requirement.marker is not None and not requirement.marker.evaluate(_marker_environment(python)):
            continue
        version = locked_versions.get(requirement.name)
        fits = version is not None and (
            version == requirement.url or requirement.specifier.contains(version, prereleases=True)
        )
        if not fits:
            holds = f"holds {requirement.name} {version}" if version else f"does not hold {requirement.name}"
            raise InvalidInputError(f"the lock {holds}, but {line!r} is asked for: lock it again", field="lock")


def _marker_environment(python: str) -> dict[str, str]:
    parts = python.split(".")
    return {
        "python_version": ".".join(parts[:2]),
        "python_full_version": python if len(parts) > 2 else f"{python}.0",
        "implementation_name": "cpython",
        "platform_python_implementation": "CPython",
    }
