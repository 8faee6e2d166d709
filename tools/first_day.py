"""Play a first day with nothing but Python and Pulumi: install a wheel, the tutorial, an upgrade, the way back.

    python3 tools/first_day.py dist/trainstack-0.1.0-py3-none-any.whl

Everything is in a folder of its own, which goes at the end. Prints what each step takes in time and on disk.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TUTORIAL = Path(__file__).parents[1] / "docs" / "tutorial.md"


def tutorial_script() -> str:
    """The tutorial as a shell script: its commands, and the script that it has one save."""
    lines = ["set -e"]
    blocks: list[tuple[str, str]] = re.findall(
        r"^```(bash|python)\n(.*?)^```", TUTORIAL.read_text("utf-8"), re.MULTILINE | re.DOTALL
    )
    for kind, text in blocks:
        lines.append(text if kind == "bash" else f"cat > scripts/train.py <<'SCRIPT'\n{text}SCRIPT\n")
    return "\n".join(lines)


def main(wheel: Path) -> None:
    """Play all steps, and end with an error when one fails."""
    home = Path(tempfile.mkdtemp(prefix="first-day-"))
    project = home / "flowers"
    hidden = ("PULUMI_", "TRAINSTACK_", "PYTHON", "VIRTUAL_ENV")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(hidden)} | {
        "HOME": str(home),
        "TRAINSTACK_CACHE": str(home / "cache"),
        "UV_CACHE_DIR": str(home / "uv"),
        "PATH": f"{home / 'venv' / 'bin'}:{os.environ['PATH']}",
        "PULUMI_SKIP_UPDATE_CHECK": "true",
    }
    # The tutorial's last commands stop everything; what comes after them needs the stack.
    play, stop = tutorial_script().rsplit("trainstack down", 1)
    passphrase = "export PULUMI_CONFIG_PASSPHRASE=; cd flowers;"
    steps = {
        "install": f"{sys.executable} -m venv venv && pip install --quiet --no-cache-dir {wheel.resolve()}",
        "tutorial": play,
        "upgrade": f"pip install --quiet --no-deps --force-reinstall {wheel.resolve()}"
        f" && {passphrase} pulumi preview --expect-no-changes",
        "uninstall": f"{passphrase} trainstack down {stop} cd .. && pip uninstall --quiet --yes trainstack",
    }
    try:
        for name, script in steps.items():
            begun = time.monotonic()
            subprocess.run(["bash", "-ec", script], cwd=home, env=environment, check=True, stdout=subprocess.DEVNULL)
            sizes = {folder: _size(home / folder) for folder in ("venv", "cache", "uv", "flowers")}
            places = ", ".join(f"{folder} {size / 1e6:,.0f} MB" for folder, size in sizes.items())
            print(f"{name}: {time.monotonic() - begun:.0f} s; on disk {places}", flush=True)
    finally:
        if project.is_dir():
            subprocess.run(["bash", "-c", f"{passphrase} pulumi destroy --yes"], cwd=home, env=environment, check=False)
        shutil.rmtree(home, ignore_errors=True)


def _size(folder: Path) -> int:
    """Bytes below a folder; a file with several names counts once."""
    files = {}
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink():
            status = path.stat()
            files[status.st_ino] = status.st_blocks * 512
    return sum(files.values())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
