"""The Python environment of a checkout: `.venv`, exactly the locked packages, and this package in place."""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

from .files import digest, read_stamp, write_stamp
from .report import SetupError, run

LOCK = "requirements-dev.lock"
RUNTIME_LOCK = "requirements.lock"
OWN_NEEDS = "tools/requirements.in"


class Environment:
    """`.venv` in a checkout."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.folder = root / ".venv"
        self.bin = self.folder / "bin"
        self.python = self.bin / "python"
        self.log = root / ".tools/logs/environment.log"
        self._stamp = self.folder / ".setup/environment.json"

    def key(self) -> str:
        """What `.venv` is made from; another key means another content.

        The path counts because scripts in a venv name it, the package's metadata because it is installed in
        place. Settings of linters do not.
        """
        project = tomllib.loads((self.root / "pyproject.toml").read_text())
        metadata = [project["project"], project["build-system"], project.get("tool", {}).get("hatch")]
        return digest((self.root / LOCK).read_bytes(), json.dumps([metadata, self._made_for()], sort_keys=True))

    def is_done(self) -> bool:
        """Whether `.venv` is what the lock says."""
        return self.python.exists() and read_stamp(self._stamp).get("key") == self.key()

    def make(self) -> None:
        """Make `.venv`, or bring it in line with the lock.

        A stamp is there only while the content is whole. So one that was cut off in the middle is made anew,
        while a finished one is only brought in line.
        """
        whole = read_stamp(self._stamp)
        self.log.unlink(missing_ok=True)
        self._stamp.unlink(missing_ok=True)
        if whole.get("made_for") != self._made_for() or not self.python.exists():
            self._make_venv()
        if not (self.bin / "uv").exists():
            self._install_uv()
        self.uv("pip", "sync", "--require-hashes", "--compile-bytecode", self.root / LOCK)
        # Not isolated: the build backend is in the lock, so nothing unhashed is fetched.
        self.uv("pip", "install", "--no-deps", "--no-build-isolation", "--editable", self.root)
        write_stamp(self._stamp, {"key": self.key(), "made_for": self._made_for()})

    def write_locks(self, *, upgrade: bool) -> None:
        """Write both locks from pyproject.toml; versions stay where they can.

        Args:
            upgrade: Take the newest versions instead.
        """
        common = ["pip", "compile", "--universal", "--python-version=3.11", "--generate-hashes", "--no-emit-index-url"]
        common += ["--extra=kubernetes", "--no-emit-find-links", "--custom-compile-command=make lock"]
        newest = ["--upgrade"] if upgrade else []
        everything = ["pyproject.toml", "--group=pyproject.toml:dev", OWN_NEEDS, f"--output-file={LOCK}"]
        self.uv(*common, *newest, *everything)
        # The runtime lock is held to the same versions, so that the tests' verdict is about it too.
        self.uv(*common, f"--constraint={LOCK}", "pyproject.toml", "--upgrade", f"--output-file={RUNTIME_LOCK}")

    def uv(self, *arguments: str | Path) -> None:
        """Run the environment's uv on the environment, in the checkout."""
        outside = {"VIRTUAL_ENV": str(self.folder), "PATH": f"{self.bin}{os.pathsep}{os.environ.get('PATH', '')}"}
        env = os.environ | _pip_index(self.python) | outside
        run([self.bin / "uv", *arguments], self.log, cwd=self.root, env=env)

    def _made_for(self) -> list[str]:
        """What a venv cannot be changed to afterwards: its place and its Python."""
        return [str(self.root), platform.python_version(), sys.base_prefix]

    def _make_venv(self) -> None:
        python = Path(sys.executable).resolve()  # we may run by the link in the .venv that goes now
        if self.folder.exists():
            shutil.rmtree(self.folder)
        advice = f"cannot make a virtual environment with {python} (on Debian and Ubuntu it needs python3-venv)"
        run([python, "-m", "venv", self.folder], self.log, failure=advice)

    def _install_uv(self) -> None:
        """Get uv from the package index, at the version and with the hashes of the lock."""
        with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
            file.write(locked_block((self.root / LOCK).read_text(), "uv"))
            file.flush()
            command = [self.python, "-m", "pip", "install", "--disable-pip-version-check", "--no-input", "--no-deps"]
            run([*command, "--require-hashes", "--requirement", file.name], self.log, failure="cannot install uv")


def locked_block(lock: str, package: str) -> str:
    """One package's lines in a lock: the pin and its hashes.

    Args:
        lock: The lock's text.
        package: The package's normal name.

    Raises:
        SetupError: The lock has no such package.
    """
    found = re.search(rf"^{re.escape(package)}==.*?(?=^\S|\Z)", lock, re.MULTILINE | re.DOTALL)
    if not found:
        raise SetupError(f"{LOCK} has no {package}; write it anew with `make lock`")
    return "".join(line + "\n" for line in found[0].splitlines() if not line.lstrip().startswith("#"))


def locked_version(lock: str, package: str) -> str:
    """The version at which a lock pins a package."""
    return locked_block(lock, package).split("==", 1)[1].split()[0]


def _pip_index(python: Path) -> dict[str, str]:
    """Let uv, which does not read pip's settings, use the index that pip is set to."""
    if any(name in os.environ for name in ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "UV_INDEX", "UV_CONFIG_FILE")):
        return {}
    asked = subprocess.run([python, "-m", "pip", "config", "get", "global.index-url"], capture_output=True, text=True)
    index = os.environ.get("PIP_INDEX_URL") or asked.stdout.strip()
    return {"UV_DEFAULT_INDEX": index} if index else {}
