"""The engine built from Go modules, for machines that reach package registries and nothing else.

docs/adr/0001-engine-from-go-modules.md says why the CLI and its Python language host are two modules.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

from .files import digest
from .report import SetupError, run

CLI = "tools/pulumi"
HOST = "tools/pulumi-language-python"
CLI_PACKAGE = "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi"
SDK_MODULE = "github.com/pulumi/pulumi/sdk/v3"
HOST_PACKAGE = f"{SDK_MODULE}/python/cmd/pulumi-language-python"
SCRIPTS = ("python/cmd/pulumi-language-python-exec", "python/dist/pulumi-resource-pulumi-python")
# Counts into the cache's key: raise it when the same modules are to be built in another way.
RECIPE = "1"


def version(root: Path) -> str:
    """The CLI's version that go.mod pins, without the `v`."""
    found = re.search(r"github\.com/pulumi/pulumi/pkg/v3 v(\S+)", (root / CLI / "go.mod").read_text())
    if not found:
        raise SetupError(f"{CLI}/go.mod does not pin github.com/pulumi/pulumi/pkg/v3")
    return found[1]


def key(root: Path) -> str:
    """Names what would be built: a digest over both modules' pins and the recipe."""
    pins = [(root / module / name).read_bytes() for module in (CLI, HOST) for name in ("go.mod", "go.sum")]
    return digest(RECIPE, *pins)[:12]


def build(root: Path, folder: Path, log: Path) -> None:
    """Build the CLI and the language host, exactly as go.mod and go.sum pin them.

    Args:
        root: The checkout.
        folder: An empty folder for the programs.
        log: Where the compiler's output goes.

    Raises:
        SetupError: There is no Go that is new enough, or the build failed.
    """
    go, env = find_go(), go_environment()
    _check_go(go, root / CLI, env)
    # The CLI knows its version only through the linker.
    ldflags = f"-s -w -X {SDK_MODULE}/go/common/version.Version=v{version(root)}"
    common = [go, "build", "-mod=readonly", "-trimpath", "-buildvcs=false", f"-ldflags={ldflags}", "-o", folder]
    run([*common, CLI_PACKAGE], log, cwd=root / CLI, env=env, failure="cannot build pulumi")
    run([*common, HOST_PACKAGE], log, cwd=root / HOST, env=env, failure="cannot build pulumi-language-python")
    where = [go, "list", "-mod=readonly", "-m", "-f", "{{.Dir}}", SDK_MODULE]
    listed = subprocess.run(where, cwd=root / HOST, env=env, capture_output=True, text=True)
    for script in SCRIPTS:
        source = Path(listed.stdout.strip()) / script
        if not source.is_file():
            raise SetupError(f"{SDK_MODULE} has no {script} in the Go module cache")
        shutil.copyfile(source, folder / source.name)
        (folder / source.name).chmod(0o755)


def find_go() -> str:
    """The `go` on PATH, or where Go's own installer puts it."""
    go = shutil.which("go") or shutil.which("/usr/local/go/bin/go")
    if not go:
        raise SetupError("there is no `go` on PATH to build it")
    return go


def go_environment() -> dict[str, str]:
    """The build's environment: no C compiler needed, no workspace file of a folder above."""
    return os.environ | {"CGO_ENABLED": "0", "GOWORK": "off"}


def _check_go(go: str, module: Path, env: dict[str, str]) -> None:
    """Ask Go in the module's folder: an older Go fetches the wanted one by itself where it may, else says no."""
    needed = re.search(r"^go (\S+)$", (module / "go.mod").read_text(), re.MULTILINE)
    try:
        asked = subprocess.run(
            [go, "env", "GOVERSION"], cwd=module, env=env, capture_output=True, text=True, timeout=300
        )
    except subprocess.TimeoutExpired as exc:
        raise SetupError(f"{go} gave no version in 300 s") from exc
    numbers = [int(part) for part in re.findall(r"\d+", asked.stdout)[:2]]
    wanted = [int(part) for part in re.findall(r"\d+", needed[1])[:2]] if needed else []
    if asked.returncode or numbers < wanted:
        raise SetupError(f"{go} is too old to build it")
