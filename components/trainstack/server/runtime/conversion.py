"""LiteRT models beside a server: made once a model, by a process of their own, and kept in the server's state."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import subprocess
import sys
from pathlib import Path

from ..serving_plan import Plan, VersionPlan
from .convert import ATTEMPTED, MANIFEST, unserved

_log = logging.getLogger("trainstack.server")
_SERVER = Path(__file__).parents[1]
# What the verdict depends on beside the model and the environment.
_JUDGES = (
    "codec/signature.py",
    "runtime/saved_model.py",
    "runtime/convert.py",
    "runtime/comparison.py",
    "runtime/generated_inputs.py",
    "runtime/trial.py",
    "runtime/litert.py",
)
_KEPT = 8


def ensure(plan: Plan, folder: Path) -> dict[int, Path]:
    """Convert what a plan names and is not converted yet.

    Args:
        plan: The plan.
        folder: Where conversions are kept.

    Returns:
        Version number to the folder of its conversion.

    Raises:
        ValueError: A model cannot be served at all.
    """
    folder.mkdir(parents=True, exist_ok=True)
    folders: dict[int, Path] = {}
    for version in plan.versions:
        target = folder / _key(version, plan.runtime)
        if not (target / MANIFEST).is_file():
            _convert(version, plan.runtime, target)
        for name, reason in unserved(json.loads((target / MANIFEST).read_bytes())["signatures"]).items():
            _log.warning("version %d: signature %s is not served: %s", version.version, name, reason)
        os.utime(target)
        folders[version.version] = target
    _forget(folder, set(folders.values()))
    return folders


def _key(version: VersionPlan, runtime: str) -> str:
    content = hashlib.sha256()
    file = Path(version.path) / "saved_model.pb"
    identity = version.digest or (file.stat().st_mtime_ns if file.exists() else None)
    parts = [version.path, identity, version.sample_input, runtime, sys.prefix]
    content.update(json.dumps(parts, sort_keys=True).encode())
    for name in _JUDGES:
        content.update((_SERVER / name).read_bytes())
    return content.hexdigest()[:24]


def _convert(version: VersionPlan, runtime: str, target: Path) -> None:
    aside = target.with_name(f".{target.name}.{os.getpid()}")
    skipped: list[str] = []
    while True:
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir()
        command = [sys.executable, str(_SERVER), "convert", "--model-path", version.path, "--output", str(aside)]
        command += ["--runtime", runtime, *(f"--skip={name}" for name in skipped)]
        if version.sample_input is not None:
            sample = aside / "sample_input.json"
            sample.write_text(json.dumps(version.sample_input))
            command += ["--sample-input", str(sample)]
        _log.info("converting version %d", version.version)
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
        (aside / "log.txt").write_text(done.stderr)
        attempted = aside / ATTEMPTED
        if done.returncode < 0 and attempted.exists() and attempted.read_text() not in skipped:
            # The converter took its process along: without that signature, TensorFlow serves it.
            skipped.append(attempted.read_text())
            continue
        break
    if done.returncode != 0:
        shutil.rmtree(aside, ignore_errors=True)
        raise ValueError(_reason(done.stderr, done.returncode))
    shutil.rmtree(target, ignore_errors=True)
    aside.rename(target)


def _reason(output: str, code: int) -> str:
    errors = [line.partition(" ERROR ")[2] for line in output.splitlines() if " ERROR " in line]
    lines = [line for line in output.splitlines() if line.strip()]
    last = lines[-1].strip() if lines else "it said nothing"
    return errors[-1] if errors else f"the model cannot be converted: code {code}, {last}"


def _forget(folder: Path, used: set[Path]) -> None:
    """Remove what no plan has used for long, and what a killed server left half made."""
    others = [path for path in folder.iterdir() if path.is_dir() and path not in used]
    done = sorted((path for path in others if not path.name.startswith(".")), key=_used, reverse=True)
    for path in [*done[_KEPT:], *(path for path in others if path.name.startswith("."))]:
        shutil.rmtree(path, ignore_errors=True)


def _used(path: Path) -> float:
    return path.stat().st_mtime
