"""A Docker engine as a target, below the lifecycle: what containers may use, what is swept, what GPUs are asked for."""

import json
import shutil
from pathlib import Path

import pytest
from tests.core.docker_runs import engine, needs_engine
from tests.core.sample_runs import tiny_environment
from tests.waiting import until

import trainstack.agent
from trainstack.agent.plan import LaunchPlan, Single
from trainstack.core.images import image
from trainstack.errors import TrainstackError
from trainstack.targets.base import WRITTEN, Capacity, NodeGroupSpec, RunRef, Runtime
from trainstack.targets.docker import container_config, sidecar
from trainstack.targets.docker.node import exit_code
from trainstack.targets.docker.target import DockerTarget


@pytest.fixture(scope="module")
def runtime():
    made = image.ensure(*tiny_environment(), engine())
    return Runtime(made.python, made.reference)


@pytest.fixture
def target():
    return DockerTarget()


@pytest.fixture
def ref(tmp_path, target):
    root = tmp_path / "run-of-a-test"
    for name in ("code", *WRITTEN):
        (root / name).mkdir(parents=True)
    shutil.copytree(Path(trainstack.agent.__file__).parent, root / "agent" / "trainstack" / "agent")
    (root / "agent" / "trainstack" / "__init__.py").touch()
    found = RunRef(root, "test")
    yield found
    target.remove_all(found)


def lay_out(ref, target, script):
    (ref.root / "code" / "train.py").write_text(script)
    layout = target.layout(ref)
    addresses = target.addresses(ref, Single(), 1)
    plan = LaunchPlan(
        distribution=Single(),
        script="train.py",
        code=str(layout.code),
        outputs=str(layout.outputs),
        reports=str(layout.nodes),
        nodes=addresses.nodes,
        grace_seconds=1.0,
    )
    plan.write(ref.root / "launch.json")


def group_of(runtime, **changes):
    given = {"attempt": 1, "node_count": 1, "runtime": runtime, "holds": Capacity(cpus=1, memory_gib=0.25)}
    return NodeGroupSpec(**{**given, **changes})


@needs_engine
def test_a_lack_of_memory_is_told_by_the_engine(ref, target, runtime):
    lay_out(ref, target, "data = []\nwhile True: data.append(bytes(b'x' * (1 << 24)))\n")
    group = target.start(ref, group_of(runtime, holds=Capacity(cpus=1, memory_gib=0.125)))
    until(lambda: group.nodes[0].poll() is not None)
    assert group.nodes[0].poll() != 0
    assert group.out_of_memory()
    group.wait_synced()


@needs_engine
def test_a_script_cannot_change_its_code_its_data_or_its_image(ref, target, runtime):
    (ref.root / "data" / "numbers").mkdir(parents=True)
    (ref.root / "data" / "numbers" / "a.csv").write_text("1")
    tries = ["train.py", "/trainstack/inputs/data/numbers/a.csv", "/usr/x", "/trainstack/inputs/agent/x", "/root/x"]
    lay_out(
        ref,
        target,
        "import json, pathlib\nwritten = []\n"
        f"for path in {[*tries, 'x', '/tmp/x', 'outputs/x', '/dev/shm/x']!r}:\n"
        "    try:\n        pathlib.Path(path).write_text('x')\n        written.append(path)\n"
        "    except OSError: pass\n"
        "pathlib.Path('outputs/written.json').write_text(json.dumps(written))\n",
    )
    group = target.start(ref, group_of(runtime))
    until(lambda: group.nodes[0].poll() is not None)
    group.wait_synced()
    assert json.loads((ref.root / "outputs" / "written.json").read_text()) == ["x", "/tmp/x", "outputs/x", "/dev/shm/x"]


@needs_engine
def test_a_saved_checkpoint_is_restored_and_not_sent_back(ref, target, runtime):
    saved = ref.root / "checkpoints" / "state"
    saved.write_text("before")
    inode = saved.stat().st_ino
    lay_out(ref, target, "import pathlib; print(pathlib.Path('/trainstack/writable/checkpoints/state').read_text())")
    group = target.start(ref, group_of(runtime))
    until(lambda: group.nodes[0].poll() is not None)
    group.wait_synced()
    assert (ref.root / "logs" / "run.txt").read_text() == "before\n"
    assert saved.stat().st_ino == inode


@needs_engine
def test_what_a_script_removes_is_removed_at_home(ref, target, runtime):
    (ref.root / "checkpoints" / "old").mkdir()
    (ref.root / "checkpoints" / "old" / "state").write_text("x" * 1000)
    lay_out(ref, target, "import shutil; shutil.rmtree('/trainstack/writable/checkpoints/old')")
    group = target.start(ref, group_of(runtime))
    until(lambda: group.nodes[0].poll() is not None)
    group.wait_synced()
    assert list((ref.root / "checkpoints").iterdir()) == []


@needs_engine
def test_another_process_collects_outputs_and_then_removes_all(ref, target, runtime, monkeypatch):
    # The process that starts the run is gone when another collects its outputs: it never takes the sidecar back.
    monkeypatch.setattr(sidecar, "_AGAIN_SECONDS", 600.0)
    lay_out(ref, target, "import pathlib, time; pathlib.Path('outputs/x').write_text('x'); time.sleep(600)")
    group = target.start(ref, group_of(runtime))
    assert group.nodes[0].poll() is None
    until(lambda: (ref.root / "outputs" / "x").exists())
    (ref.root / "outputs" / "x").unlink()
    other = DockerTarget()
    other.collect_outputs(ref)
    assert (ref.root / "outputs" / "x").read_text() == "x"
    assert {orphan.kind for orphan in other.orphans("test")} == {"container", "network", "volume"}
    assert other.remove_all(ref) == 2
    assert not [orphan for orphan in other.orphans("test") if orphan.run == ref.id]
    assert other.remove_all(ref) == 0


@needs_engine
def test_an_image_that_is_gone_is_one_clear_line(ref, target):
    lay_out(ref, target, "")
    with pytest.raises(TrainstackError, match=r"starting containers: .* No such image") as caught:
        target.start(ref, group_of(Runtime("/usr/bin/python3", f"sha256:{'0' * 64}")))
    assert "\n" not in str(caught.value)


@needs_engine
def test_an_engine_says_what_it_holds(target):
    holds = target.capacity()
    assert holds.cpus >= 1
    assert holds.memory_gib > 0
    assert holds.gpus is None


def test_gpus_are_asked_for_as_the_engine_wants_it():
    assert container_config.gpus(0) == []
    [request] = container_config.gpus(2)
    assert (request["Count"], request["Capabilities"]) == (2, [["gpu"]])


@pytest.mark.parametrize(
    ("state", "code"),
    [
        ({"ExitCode": 0}, 0),
        ({"ExitCode": 1}, 1),
        ({"ExitCode": 137}, -9),
        ({"ExitCode": 139}, -11),
        ({"ExitCode": 143}, 143),  # the agent's own word for having been asked to end
        ({"ExitCode": 255}, -9),  # the engine was not there to see
    ],
)
def test_a_containers_end_is_told_as_an_agents(state, code):
    assert exit_code(state) == code
