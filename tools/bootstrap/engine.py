"""Which Pulumi engine a checkout uses: one on PATH, else the vendor's, else one built from Go modules."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from . import engine_from_go, engine_from_vendor
from .files import locked, read_stamp, write_stamp
from .report import SetupError
from .wrapper import is_wrapper

MINIMUM = (3, 250, 0)
LANGUAGE_HOST = "pulumi-language-python"


@dataclass(frozen=True)
class Engine:
    """A Pulumi CLI with a Python language host.

    Attributes:
        folder: Where `pulumi` lies.
        version: Its version, without the `v`.
        origin: Where it is from: `PATH`, `vendor` or `go`.
    """

    folder: str
    version: str
    origin: str

    def describe(self) -> str:
        """One phrase for the step's line."""
        origins = {"PATH": "found on PATH", "vendor": "from Pulumi's installer", "go": "built from Go modules"}
        return f"pulumi {self.version} {origins[self.origin]}"


def parse_version(text: str) -> tuple[int, int, int] | None:
    """The numbers of `v3.250.0`, `3.250.0-dev.1` and kin; None when there are none."""
    found = re.search(r"(\d+)\.(\d+)\.(\d+)", text)
    return (int(found[1]), int(found[2]), int(found[3])) if found else None


def is_new_enough(version: str) -> bool:
    """Whether a CLI of this version runs our programs: same major version, not before the minimum."""
    numbers = parse_version(version)
    return numbers is not None and numbers[0] == MINIMUM[0] and numbers >= MINIMUM


def candidates(path: str) -> list[Path]:
    """Every `pulumi` on a search path, in its order, except wrappers that some set-up made."""
    found = [shutil.which("pulumi", path=folder) for folder in path.split(os.pathsep) if folder]
    return [Path(file) for file in dict.fromkeys(found) if file and not is_wrapper(Path(file))]


def on_path(path: str) -> Engine | None:
    """The first `pulumi` on a search path that is new enough and has its Python language host beside it."""
    for file in candidates(path):
        folder = file.resolve().parent
        if (folder / LANGUAGE_HOST).exists() and is_new_enough(version := _version(file)):
            return Engine(str(folder), version, "PATH")
    return None


class EngineChoice:
    """The engine of a checkout, and whether the choice still stands."""

    def __init__(self, root: Path, sdk_version: str) -> None:
        """Nothing is looked up yet.

        Args:
            root: The checkout.
            sdk_version: The locked version of Pulumi's Python SDK, which the vendor's engine is to match.
        """
        self._root = root
        self._sdk_version = sdk_version
        self._stamp = root / ".venv/.setup/engine.json"
        self.log = root / ".tools/logs/engine.log"

    def current(self) -> Engine | None:
        """The chosen engine, when nothing that led to the choice has changed since."""
        stamp = read_stamp(self._stamp)
        if not stamp or stamp.get("facts") != self._facts(Path(stamp["engine"]["folder"])):
            return None
        return Engine(**stamp["engine"])

    def choose(self) -> Engine:
        """Find or make an engine.

        Raises:
            SetupError: There is none and none can be made; says why each way failed.
        """
        self.log.unlink(missing_ok=True)
        engine = on_path(os.environ.get("PATH", "")) or self._cached_or_made()
        write_stamp(self._stamp, {"engine": asdict(engine), "facts": self._facts(Path(engine.folder))})
        return engine

    def _cached_or_made(self) -> Engine:
        """The machine's own engine, shared by all checkouts."""
        cache = cache_folder()
        system = f"{platform.system()}-{platform.machine()}".lower()
        vendor = cache / f"vendor-{self._sdk_version}-{system}"
        go_version = engine_from_go.version(self._root)
        go = cache / f"go-{go_version}-{system}-{engine_from_go.key(self._root)}"
        with locked(cache / ".lock"):
            if (vendor / "bin/pulumi").exists():
                return Engine(str(vendor / "bin"), self._sdk_version, "vendor")
            if (go / "pulumi").exists():
                return Engine(str(go), go_version, "go")
            try:
                _whole_or_not(vendor, self._install)
                return Engine(str(vendor / "bin"), self._sdk_version, "vendor")
            except SetupError as no_vendor:
                try:
                    _whole_or_not(go, lambda aside: engine_from_go.build(self._root, aside, self.log))
                except SetupError as no_go:
                    raise SetupError(
                        f"no Pulumi engine: none on PATH at {'.'.join(map(str, MINIMUM))} or newer; "
                        f"{no_vendor}; {no_go}. "
                        "Install Pulumi (https://www.pulumi.com/docs/install/), or Go 1.26 to build it, and run again"
                    ) from no_go
                return Engine(str(go), go_version, "go")

    def _install(self, folder: Path) -> None:
        engine_from_vendor.install(self._root / ".venv/bin/python", folder, self._sdk_version, self.log)

    def _facts(self, folder: Path) -> list[Any]:
        """What the choice rests on, told by file stamps, which cost no start of a CLI."""
        files = [*candidates(os.environ.get("PATH", "")), folder / "pulumi", folder / LANGUAGE_HOST]
        return [self._sdk_version, engine_from_go.key(self._root), [_identity(file) for file in files]]


def cache_folder() -> Path:
    """Where this machine keeps the engines that set-ups made."""
    cache = os.environ.get("TRAINSTACK_CACHE") or os.environ.get("XDG_CACHE_HOME", "~/.cache") + "/trainstack"
    return Path(cache).expanduser() / "engine"


def _whole_or_not(target: Path, make: Callable[[Path], None]) -> None:
    """Make a folder aside and rename it, so that a killed build leaves nothing that looks finished."""
    aside = target.with_name(f".{target.name}.part")
    shutil.rmtree(aside, ignore_errors=True)
    try:
        aside.mkdir(parents=True)
        make(aside)
        shutil.rmtree(target, ignore_errors=True)
        aside.rename(target)
    except OSError as exc:
        raise SetupError(f"cannot write {aside} ({exc.strerror})") from exc
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _version(file: Path) -> str:
    env = os.environ | {"PULUMI_SKIP_UPDATE_CHECK": "true"}
    try:
        told = subprocess.run([file, "version"], capture_output=True, text=True, env=env, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return told.stdout.strip().removeprefix("v")


def _identity(file: Path) -> list[Any]:
    try:
        status = file.stat()
    except OSError:
        return [str(file)]
    return [str(file), status.st_size, status.st_mtime_ns]
