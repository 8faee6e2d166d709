"""`pulumi preview` of the finished MNIST stack, beside that of an empty Pulumi program.

Needs MNIST_BASE_URL. Trains one epoch first. Usage: `python -m benchmarks.preview [--pairs N]`.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.machine import description, in_turns

REPOSITORY = Path(__file__).parents[1]


def project(root: Path, program: str) -> Path:
    """Make a project with a stack around a program."""
    for folder in ("programs/main", "stacks", ".pulumi-state"):
        (root / folder).mkdir(parents=True)
    (root / "Pulumi.yaml").write_text(
        (REPOSITORY / "Pulumi.yaml").read_text().replace("programs/mnist", "programs/main")
    )
    if program:
        shutil.copytree(REPOSITORY / program, root / "programs" / "main", dirs_exist_ok=True)
    else:
        (root / "programs" / "main" / "__main__.py").write_text("import pulumi\n")
    pulumi(root, "stack", "init", "bench")
    return root


def pulumi(root: Path, *arguments: str) -> None:
    """Run the CLI, and show what it said when it fails."""
    variables = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PULUMI_CONFIG_PASSPHRASE": "",
        "PULUMI_SKIP_UPDATE_CHECK": "true",
    }
    # Some machines forbid it; a user's keeps bytecode, and compiling is not what is measured.
    variables.pop("PYTHONDONTWRITEBYTECODE", None)
    done = subprocess.run(
        ["pulumi", *arguments, "--non-interactive"],
        cwd=root,
        env=variables,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(done.stdout + done.stderr)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Preview of the finished MNIST stack beside an empty program's.")
    parser.add_argument("--pairs", type=int, default=5)
    options = parser.parse_args()
    if "MNIST_BASE_URL" not in os.environ:
        sys.exit("MNIST_BASE_URL names no folder with the four files: set it")
    print(description())
    with tempfile.TemporaryDirectory(prefix="trainstack-benchmark-") as folder:
        mnist, empty = project(Path(folder) / "mnist", "programs/mnist"), project(Path(folder) / "empty", "")
        pulumi(mnist, "config", "set", "epochs", "1")
        pulumi(mnist, "up", "--yes", "--skip-preview")
        try:
            pair = in_turns(lambda: pulumi(mnist, "preview"), lambda: pulumi(empty, "preview"), options.pairs)
        finally:
            pulumi(mnist, "destroy", "--yes", "--skip-preview")
    print(pair.row("preview of the finished MNIST stack / of an empty program", "at most 1.4 times"))


if __name__ == "__main__":
    main()
