"""The folder backend and the stack in it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from .files import digest, read_stamp, write_stamp
from .report import SetupError

PASSPHRASES = ("PULUMI_CONFIG_PASSPHRASE", "PULUMI_CONFIG_PASSPHRASE_FILE")


class Stack:
    """A stack of this checkout's project."""

    def __init__(self, root: Path, name: str) -> None:
        self.root = root
        self.name = name
        self._state = root / ".pulumi-state"
        self._settings = root / f"stacks/Pulumi.{name}.yaml"
        self._stamp = root / f".venv/.setup/stack-{name}.json"

    def is_done(self) -> bool:
        """Whether the stack exists, one is selected, and the passphrase opens it."""
        if not self._state.is_dir():
            return False
        listed = self._pulumi("stack", "ls", "--json")
        if listed.returncode:
            return False
        stacks = json.loads(listed.stdout or "[]")
        names = {stack["name"].rsplit("/", 1)[-1] for stack in stacks}
        return self.name in names and any(stack["current"] for stack in stacks) and self._opens()

    def make(self) -> None:
        """Make what is missing, and select the stack.

        Raises:
            SetupError: Pulumi refuses; the passphrase does not fit, say.
        """
        self._state.mkdir(exist_ok=True)
        if not self._opens():
            raise SetupError(advice(self.name, own=has_own_passphrase()))
        done = self._pulumi("stack", "select", "--create", self.name)
        if done.returncode:
            said = done.stderr.strip().splitlines()
            raise SetupError(f"cannot make stack {self.name}: {said[-1] if said else f'exit {done.returncode}'}")

    def _opens(self) -> bool:
        """Whether the passphrase in use opens the stack.

        No command only checks that, so a dummy secret is put into a copy of the stack's settings. The answer for
        the wrapper's empty passphrase is kept; nothing is kept about a person's own.
        """
        if not self._settings.exists():
            return True
        seen = {"opened_by_empty": digest(self._settings.read_bytes())}
        if not has_own_passphrase() and read_stamp(self._stamp) == seen:
            return True
        with tempfile.TemporaryDirectory() as folder:
            copy = shutil.copy(self._settings, folder)
            probe = ("config", "set", "--stack", self.name, "--config-file", copy, "--secret", "probe", "probe")
            opens = "incorrect passphrase" not in self._pulumi(*probe).stderr
        if opens and not has_own_passphrase():
            write_stamp(self._stamp, seen)
        return opens

    def _pulumi(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [self.root / ".venv/bin/pulumi", "--non-interactive", *arguments]
        return subprocess.run(command, cwd=self.root, stdin=subprocess.DEVNULL, capture_output=True, text=True)


def has_own_passphrase() -> bool:
    """Whether the environment names a passphrase other than the empty one."""
    return any(os.environ.get(name) for name in PASSPHRASES)


def advice(stack: str, *, own: bool) -> str:
    """One line for a passphrase that does not open a stack.

    Args:
        stack: The stack's name.
        own: Whether the passphrase is the person's own, and not the empty one.
    """
    if own:
        return (
            f"the passphrase in the environment does not open stack {stack}: unset {' and '.join(PASSPHRASES)}; "
            "to give the stack your own, run after that "
            f"`pulumi stack change-secrets-provider passphrase --stack {stack}`"
        )
    return f"the empty passphrase does not open stack {stack}: set {' or '.join(PASSPHRASES)} to its own"
