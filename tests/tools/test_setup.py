"""Set-up of a checkout: which engine it takes, what it skips, what it writes."""

from __future__ import annotations

import ast
import importlib
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))

engine = importlib.import_module("bootstrap.engine")
engine_from_go = importlib.import_module("bootstrap.engine_from_go")
environment = importlib.import_module("bootstrap.environment")
files = importlib.import_module("bootstrap.files")
report = importlib.import_module("bootstrap.report")
stack = importlib.import_module("bootstrap.stack")
wrapper = importlib.import_module("bootstrap.wrapper")


def program(file: Path, script: str) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o755)
    return file


def pulumi(folder: Path, version: str, *, host: bool = True) -> Path:
    program(folder / "pulumi", f"echo {version}")
    if host:
        program(folder / "pulumi-language-python", "exit 0")
    return folder


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    root = tmp_path / "checkout"
    shutil.copytree(ROOT / "tools", root / "tools", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "requirements-dev.lock", "requirements.lock"):
        shutil.copy(ROOT / name, root)
    return root


@pytest.mark.parametrize("version", ["v3.250.0", "3.259.0", "3.300.1-alpha.1+x"])
def test_engine_from_the_minimum_on_is_new_enough(version: str) -> None:
    assert engine.is_new_enough(version)


@pytest.mark.parametrize("version", ["v3.249.9", "v3.79.0", "v4.0.0", "", "unknown"])
def test_engine_of_an_unsupported_version_is_refused(version: str) -> None:
    assert not engine.is_new_enough(version)


def test_first_good_engine_on_path_is_taken(tmp_path: Path) -> None:
    old = pulumi(tmp_path / "old", "v3.100.0")
    bare = pulumi(tmp_path / "bare", "v3.260.0", host=False)
    good = pulumi(tmp_path / "good", "v3.255.1")
    path = os.pathsep.join(map(str, (old, bare, tmp_path / "missing", good)))
    assert engine.on_path(path) == engine.Engine(str(good), "3.255.1", "PATH")
    assert engine.on_path(os.pathsep.join(map(str, (old, bare)))) is None


def test_engine_behind_a_link_is_found_where_it_lies(tmp_path: Path) -> None:
    real = pulumi(tmp_path / "real", "v3.255.1")
    links = tmp_path / "links"
    links.mkdir()
    (links / "pulumi").symlink_to(real / "pulumi")
    assert engine.on_path(str(links)).folder == str(real)


def test_wrapper_of_any_checkout_is_no_engine(tmp_path: Path) -> None:
    good = pulumi(tmp_path / "good", "v3.255.1")
    venv = pulumi(tmp_path / "venv", "v3.255.1")
    files.write(venv / "pulumi", wrapper.text(venv, good, downloads=True), mode=0o755)
    assert engine.candidates(f"{venv}{os.pathsep}{good}") == [good / "pulumi"]


def choice(root: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *path: Path):
    monkeypatch.setenv("PATH", os.pathsep.join(map(str, path)))
    monkeypatch.setenv("TRAINSTACK_CACHE", str(tmp_path / "cache"))
    return engine.EngineChoice(root, "3.272.0")


def test_choice_stands_until_path_engine_or_pins_change(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = pulumi(tmp_path / "first", "v3.255.0"), tmp_path / "second"
    chosen = choice(checkout, monkeypatch, tmp_path, second, first, Path("/usr/bin"), Path("/bin"))
    assert chosen.current() is None
    assert chosen.choose() == chosen.current() == engine.Engine(str(first), "3.255.0", "PATH")

    pulumi(second, "v3.260.0")
    assert chosen.current() is None, "another pulumi came first on PATH"
    assert chosen.choose().version == "3.260.0"

    pulumi(second, "v3.261.0-new")
    assert chosen.current() is None, "the engine was replaced"
    chosen.choose()

    (checkout / "tools/pulumi/go.sum").write_text("changed")
    assert chosen.current() is None, "the pins of the build changed"


def test_second_checkout_reuses_the_machines_engine(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = choice(checkout, monkeypatch, tmp_path, tmp_path / "empty")
    monkeypatch.setattr(engine.engine_from_vendor, "install", refuse)
    monkeypatch.setattr(engine.engine_from_go, "build", lambda _root, folder, _log: pulumi(folder, "v3.259.0"))
    built = chosen.choose()
    assert built.origin == "go"
    assert Path(built.folder).parent == tmp_path / "cache/engine"

    monkeypatch.setattr(engine.engine_from_go, "build", refuse)
    (checkout / ".venv/.setup/engine.json").unlink()
    assert chosen.choose() == built


def refuse(*_: object) -> None:
    raise report.SetupError("refused")


def test_no_way_to_an_engine_is_one_line_with_both_ways_out(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine.engine_from_vendor, "install", refuse)
    program(tmp_path / "bin/go", "echo go1.19.8")
    chosen = choice(checkout, monkeypatch, tmp_path, tmp_path / "bin", Path("/bin"))
    with pytest.raises(report.SetupError) as caught:
        chosen.choose()
    message = str(caught.value)
    assert "\n" not in message
    assert "is too old" in message
    assert "Install Pulumi" in message
    assert "Go 1.26" in message


def test_build_that_was_cut_off_leaves_nothing_that_looks_whole(tmp_path: Path) -> None:
    target = tmp_path / "engine"
    left_over = tmp_path / ".engine.part"
    program(left_over / "half", "a build that was killed")

    def fail(folder: Path) -> None:
        assert list(folder.iterdir()) == []
        program(folder / "pulumi", "half")
        raise report.SetupError("disk full")

    with pytest.raises(report.SetupError):
        engine._whole_or_not(target, fail)
    assert list(tmp_path.iterdir()) == []


def test_engine_is_pinned_and_its_scripts_are_named() -> None:
    assert engine.is_new_enough(engine_from_go.version(ROOT))
    assert re.fullmatch("[0-9a-f]{12}", engine_from_go.key(ROOT))


def edited(root: Path, name: str, change: Callable[[str], str]) -> None:
    text = (root / name).read_text()
    assert change(text) != text
    (root / name).write_text(change(text))


def test_environment_changes_with_lock_and_metadata_only(checkout: Path) -> None:
    here = environment.Environment(checkout)
    keys = [here.key()]
    edited(checkout, "pyproject.toml", lambda text: text.replace("[tool.ruff]\n", "[tool.ruff]\npreview = true\n"))
    assert here.key() == keys[0]
    edited(checkout, "pyproject.toml", lambda text: text.replace('version = "0.1.0"', 'version = "0.1.1"'))
    keys.append(here.key())
    edited(checkout, "requirements-dev.lock", lambda text: text + "\n")
    keys.append(here.key())
    moved = checkout.rename(checkout.with_name("moved"))
    keys.append(environment.Environment(moved).key())
    assert len(set(keys)) == 4


def test_environment_without_a_whole_stamp_is_not_done(checkout: Path) -> None:
    here = environment.Environment(checkout)
    program(here.python, "exit 0")
    stamp = checkout / ".venv/.setup/environment.json"
    assert not here.is_done()
    files.write_stamp(stamp, {"key": here.key()})
    assert here.is_done()
    stamp.write_text('{"key": "')
    assert not here.is_done()


def test_uv_comes_from_the_lock_with_its_hashes() -> None:
    block = environment.locked_block((ROOT / "requirements-dev.lock").read_text(), "uv")
    assert re.match(r"uv==\d+\.\d+\.\d+ \\\n", block)
    assert block.count("==") == 1
    assert "--hash=sha256:" in block
    with pytest.raises(report.SetupError, match="make lock"):
        environment.locked_block("other==1\n", "uv")


LOCKS = ["requirements.lock", "requirements-dev.lock"]


@pytest.mark.parametrize("name", LOCKS)
def test_locks_name_no_index_and_hash_every_package(name: str) -> None:
    text = (ROOT / name).read_text()
    assert not re.search(r"https?://|--(extra-)?index-url|--find-links|file:", text)
    entries = re.split(r"^(?=\S)", re.sub(r"^\s*#.*\n", "", text, flags=re.MULTILINE), flags=re.MULTILINE)[1:]
    assert len(entries) > 20
    assert [entry for entry in entries if not re.match(r"\S+==\S+ ", entry) or "--hash=sha256:" not in entry] == []


def pins(name: str) -> set[str]:
    return set(re.findall(r"^([a-z0-9-]+==\S+)", (ROOT / name).read_text(), re.MULTILINE))


def names(requirements: list[str]) -> set[str]:
    return {re.split(r"[^A-Za-z0-9._-]", line)[0].lower().replace("_", "-") for line in requirements}


def test_locks_have_every_dependency_and_agree() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    runtime, everything = pins("requirements.lock"), pins("requirements-dev.lock")
    assert runtime <= everything
    assert names(project["project"]["dependencies"]) <= {pin.split("==")[0] for pin in runtime}, "run `make lock`"
    dev = project["dependency-groups"]["dev"]
    assert names(dev) <= {pin.split("==")[0] for pin in everything}, "run `make lock`"


def test_build_backend_is_locked_at_the_projects_version() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert set(project["build-system"]["requires"]) <= pins("requirements-dev.lock")


def started(file: Path, **env: str) -> dict[str, str]:
    done = subprocess.run([file, "a b", "c"], env=env, capture_output=True, text=True, check=True)
    return dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)


def test_wrapper_sets_the_environment_and_the_passphrase(tmp_path: Path) -> None:
    bin_folder, engine_folder = tmp_path / "it's a venv/bin", tmp_path / "engine $HOME"
    program(engine_folder / "pulumi", 'echo "ARGS=$#:$1:$2"; /usr/bin/env')
    created = wrapper.Wrapper(bin_folder.parent.parent)
    created.file = bin_folder / "pulumi"
    created.make(engine_folder, downloads=True)
    assert created.is_done(engine_folder, downloads=True)
    assert not created.is_done(engine_folder, downloads=False)

    seen = started(created.file, PATH="/usr/bin:/bin")
    assert seen["ARGS"] == "2:a b:c"
    assert seen["PATH"] == f"{bin_folder}:{engine_folder}:/usr/bin:/bin"
    assert seen["PULUMI_CONFIG_PASSPHRASE"] == ""
    assert seen["PULUMI_SKIP_UPDATE_CHECK"] == "true"
    assert "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION" not in seen


def test_wrapper_keeps_what_the_person_has_set(tmp_path: Path) -> None:
    program(tmp_path / "engine/pulumi", "/usr/bin/env")
    created = wrapper.Wrapper(tmp_path)
    created.make(tmp_path / "engine", downloads=False)
    own = started(created.file, PULUMI_CONFIG_PASSPHRASE="own", PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION="false")
    assert own["PULUMI_CONFIG_PASSPHRASE"] == "own"
    assert own["PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION"] == "false"
    in_file = started(created.file, PULUMI_CONFIG_PASSPHRASE_FILE="/run/passphrase")
    assert "PULUMI_CONFIG_PASSPHRASE" not in in_file
    assert in_file["PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION"] == "true"


@pytest.mark.end_to_end
def test_wrapper_opens_the_local_stack_without_settings(tmp_path: Path) -> None:
    ours = ROOT / ".venv/bin/pulumi"
    if not ours.exists():
        pytest.skip("this checkout was not set up by `make setup`")
    for name in ("Pulumi.yaml", "stacks"):
        (shutil.copytree if (ROOT / name).is_dir() else shutil.copy)(ROOT / name, tmp_path / name)
    (tmp_path / ".pulumi-state").mkdir()
    (tmp_path / "programs/mnist").mkdir(parents=True)
    (tmp_path / "programs/mnist/__main__.py").write_text(
        "import sys, pulumi\npulumi.export('prefix', sys.prefix)\npulumi.export('hidden', pulumi.Output.secret('x'))\n"
    )
    env = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "PULUMI_HOME": str(tmp_path / "home")}
    settings = (tmp_path / "stacks/Pulumi.local.yaml").read_text()

    def run(*arguments: str) -> str:
        command = [ours, "--non-interactive", *arguments, "--stack", "local"]
        done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    run("stack", "init")
    run("up", "--yes")
    assert run("stack", "output", "prefix").strip() == str(ROOT / ".venv")
    assert (tmp_path / "stacks/Pulumi.local.yaml").read_text() == settings, "git status must stay clean"


@pytest.mark.parametrize("own", [True, False])
def test_wrong_passphrase_is_one_line_that_says_what_to_do(own: bool) -> None:
    line = stack.advice("local", own=own)
    assert "\n" not in line
    assert "stack local" in line
    assert ("change-secrets-provider" in line) == own


def test_step_is_one_line_with_its_time(capsys: pytest.CaptureFixture[str]) -> None:
    with report.step("engine", "the CLI") as notes:
        notes.append("found")
    assert re.fullmatch(r"engine: +the CLI … found, 0\.0 s\n", capsys.readouterr().out)
    with pytest.raises(ZeroDivisionError), report.step("engine", "the CLI"):
        raise ZeroDivisionError
    assert re.fullmatch(r"engine: +the CLI … failed after 0\.0 s\n", capsys.readouterr().out)


def test_failed_command_is_one_line_with_reason_and_log(tmp_path: Path) -> None:
    log = tmp_path / "logs/step.log"
    script = program(tmp_path / "script", "echo start; echo 'error: no space left' >&2; echo bye; exit 3")
    with pytest.raises(report.SetupError) as caught:
        report.run([script], log, failure="cannot build")
    assert str(caught.value) == f"cannot build: error: no space left; its output is in {log}"
    assert "bye" in log.read_text()
    with pytest.raises(report.SetupError, match="no end after 0 s"):
        report.run(["sleep", "5"], log, timeout=0.1)


def test_two_set_ups_at_once_take_turns(tmp_path: Path) -> None:
    script = (
        f"import sys, time; sys.path.insert(0, {str(ROOT / 'tools')!r})\n"
        "from pathlib import Path; from bootstrap.files import locked\n"
        f"with locked(Path({str(tmp_path / 'lock')!r})), open({str(tmp_path / 'out')!r}, 'a') as out:\n"
        "    out.write('in '); out.flush(); time.sleep(0.2); out.write('out ')\n"
    )
    both = [subprocess.Popen([sys.executable, "-c", script]) for _ in range(2)]
    assert [process.wait() for process in both] == [0, 0]
    assert (tmp_path / "out").read_text() == "in out in out "


def test_old_python_gets_a_line_and_not_a_syntax_error() -> None:
    source = (ROOT / "tools/setup.py").read_text()
    checked = ast.parse(source, feature_version=(3, 4)).body
    guard = next(i for i, node in enumerate(checked) if isinstance(node, ast.If))
    first_of_ours = next(i for i, node in enumerate(checked) if isinstance(node, ast.ImportFrom))
    assert guard < first_of_ours
