"""Horovod's wheel: compiled once for each TensorFlow, and clear words when it does not compile."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from trainstack.core.environments.environment import build, get_curated, lock
from trainstack.core.environments.horovod_wheel import horovod_wheel, wheel_key
from trainstack.errors import TrainstackError


def test_wheel_key_names_what_it_is_compiled_against() -> None:
    locked = lock(get_curated("tensorflow-2.15-horovod"))
    assert wheel_key(locked).startswith("horovod-0.28.1-tensorflow-cpu-2.15.1-cp311-")
    others = [
        locked.model_copy(update={"packages": {**locked.packages, "tensorflow-cpu": "2.14.1"}}),
        locked.model_copy(update={"packages": {**locked.packages, "horovod": "0.28.0"}}),
        locked.model_copy(update={"python": "3.10"}),
    ]
    assert len({wheel_key(locked), *map(wheel_key, others)}) == 4


def test_missing_compiler_fails_before_any_download(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TRAINSTACK_CACHE", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    with pytest.raises(TrainstackError, match="there is no C"):
        horovod_wheel(lock(get_curated("tensorflow-2.15-horovod")))
    assert not list(tmp_path.glob("wheels/*/*"))


@pytest.mark.tensorflow
def test_a_compiler_that_fails_is_quoted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    compiler = tmp_path / "c++"
    compiler.write_text(f'#!/bin/sh\nexec {shutil.which("c++")} -include {tmp_path}/broken.h "$@"\n')
    compiler.chmod(0o755)
    (tmp_path / "broken.h").write_text("#error this header is broken on purpose\n")
    monkeypatch.setenv("CXX", str(compiler))
    monkeypatch.setenv("TRAINSTACK_CACHE", str(tmp_path / "cache"))
    spec = get_curated("tensorflow-2.15-horovod")
    with pytest.raises(TrainstackError, match="error: #error this header is broken on purpose") as caught:
        build(spec, lock(spec))
    assert "horovod 0.28.1 does not compile (see " in str(caught.value)
    assert not list((tmp_path / "cache").glob("wheels/*/complete"))


@pytest.mark.tensorflow
def test_horovod_runs_on_gloo_and_its_wheel_is_compiled_once() -> None:
    spec = get_curated("tensorflow-2.15-horovod")
    built = build(spec, lock(spec))
    script = "import horovod.tensorflow.keras as h; h.init(); print(h.size(), h.gloo_built(), bool(h.mpi_built()))"
    variables = {"PATH": "/usr/bin:/bin", **spec.variables}
    done = subprocess.run([built.python, "-c", script], env=variables, capture_output=True, text=True, check=True)
    assert done.stdout == "1 True False\n"
    told: list[str] = []
    wheel = horovod_wheel(lock(spec), told.append)
    assert wheel.suffix == ".whl"
    assert told == []
