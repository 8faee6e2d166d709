"""The folder backend and the stack in it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from .report import SetupError


class Stack:
    """A stack of this checkout's project."""

    def __init__(self, root: Path, name: str) -> None:
        self.root = root
        self.name = name
        self._state = root / ".pulumi-state"
        self._settings = root / f"stacks/Pulumi.{name}.yaml"

    def is_done(self) -> bool:
        """Whether the stack exists, one is selected, and the passphrase opens it."""
        if not self._state.is_dir():
            return False
        listed = self._pulumi("stack", "ls", "--json")
        if listed.returncode:
            return False
        stacks = json.loads(listed.stdout or "[]")
        names = {stack["name"].rsplit("/", 1)[-1] for stack in stacks}
        return self.name in names and any(stack["current"] for stack in stacks) and not self._wrong_passphrase()

    def make(self) -> None:
        """Make what is missing, and select the stack.

        Raises:
            SetupError: Pulumi refuses; the passphrase does not fit, say.
        """
        self._state.mkdir(exist_ok=True)
        if self._wrong_passphrase():
            raise self._advice()
        done = self._pulumi("stack", "select", "--create", self.name)
        if "incorrect passphrase" in done.stderr:
            raise self._advice()
        if done.returncode:
            raise SetupError(f"cannot make stack {self.name}: {done.stderr.strip().splitlines()[-1]}")

    def _wrong_passphrase(self) -> bool:
        """Whether the person's own passphrase does not open the stack; the empty one of the wrapper does.

        No command only checks it, so a dummy secret is put into a copy of the stack's settings.
        """
        own = [os.environ.get(name) for name in ("PULUMI_CONFIG_PASSPHRASE", "PULUMI_CONFIG_PASSPHRASE_FILE")]
        if not any(own) or not self._settings.exists():
            return False
        with tempfile.TemporaryDirectory() as folder:
            copy = shutil.copy(self._settings, folder)
            probe = ("config", "set", "--stack", self.name, "--config-file", copy, "--secret", "probe", "probe")
            return "incorrect passphrase" in self._pulumi(*probe).stderr

    def _advice(self) -> SetupError:
        return SetupError(
            f"the passphrase in the environment does not open stack {self.name}: unset PULUMI_CONFIG_PASSPHRASE and "
            "PULUMI_CONFIG_PASSPHRASE_FILE, or, without them set, move the stack to your own passphrase with "
            f"`pulumi stack change-secrets-provider passphrase --stack {self.name}`"
        )

    def _pulumi(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [self.root / ".venv/bin/pulumi", "--non-interactive", *arguments]
        return subprocess.run(command, cwd=self.root, stdin=subprocess.DEVNULL, capture_output=True, text=True)
