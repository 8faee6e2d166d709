"""A Pulumi project of its own, driven by the real CLI on a folder backend."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]


@dataclass
class Result:
    """What a command came to."""

    code: int
    text: str

    def lines(self, containing: str) -> list[str]:
        return [line.strip() for line in self.text.splitlines() if containing in line]


@dataclass
class Project:
    """A Pulumi project with one program and one stack."""

    root: Path
    variables: dict[str, str] = field(default_factory=dict)

    def environment(self) -> dict[str, str]:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PULUMI_")}
        environment |= {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "NO_COLOR": "1"}
        return environment | {"PULUMI_CONFIG_PASSPHRASE": "", "PULUMI_SKIP_UPDATE_CHECK": "true"} | self.variables

    def start_up(self, log: Path) -> subprocess.Popen[bytes]:
        """`pulumi up` in a process group of its own, as a terminal has it, for signals to be sent to."""
        with log.open("wb") as output:
            return subprocess.Popen(
                ["pulumi", "up", "--yes", "--skip-preview", "--non-interactive"],
                cwd=self.root,
                env=self.environment(),
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def pulumi(self, *arguments: str, expect: int | None = 0) -> Result:
        done = subprocess.run(
            ["pulumi", *arguments, "--non-interactive"],
            cwd=self.root,
            env=self.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=1200,
            check=False,
        )
        result = Result(done.returncode, done.stdout)
        assert expect is None or result.code == expect, result.text
        return result

    def up(self, expect: int | None = 0) -> Result:
        return self.pulumi("up", "--yes", "--skip-preview", expect=expect)

    def preview(self, *arguments: str, expect: int | None = 0) -> Result:
        return self.pulumi("preview", "--diff", *arguments, expect=expect)

    def unchanged(self) -> None:
        self.pulumi("preview", "--expect-no-changes", "--diff")

    def outputs(self) -> dict:
        text = self.pulumi("stack", "output", "--json").text
        return json.loads(text[text.index("{") :])

    def write(self, name: str, text: str) -> Path:
        path = self.root / "programs" / "main" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path


def engine_folder() -> Path:
    """The folder of the Pulumi that the checkout uses, without its wrapper, which sets PATH and a passphrase."""
    wrapper = (Path(sys.executable).parent / "pulumi").read_text(errors="replace")
    [command] = [line for line in wrapper.splitlines() if line.startswith("exec ")]
    return Path(command.split()[1]).parent


def new_project(root: Path) -> Project:
    (root / "programs" / "main").mkdir(parents=True)
    (root / "stacks").mkdir()
    (root / ".pulumi-state").mkdir()
    shutil.copy(REPOSITORY / "Pulumi.yaml", root)
    text = (root / "Pulumi.yaml").read_text().replace("programs/mnist", "programs/main")
    (root / "Pulumi.yaml").write_text(text)
    project = Project(root)
    project.pulumi("stack", "init", "test")
    return project
