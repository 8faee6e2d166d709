"""What a resumed run says about what was saved, checked against the files, and with real TensorFlow."""

import itertools
import os
import time

import pytest
from tests.core.sample_runs import events, printed
from tests.waiting import until

from trainstack.core.environments.environment import EnvironmentSpec, build, get_curated, lock
from trainstack.core.runs import saved_progress
from trainstack.core.runs.execution import submission
from trainstack.core.runs.request import LockedEnvironment
from trainstack.errors import RunFailedError


@pytest.fixture
def folders(tmp_path):
    checkpoints, tracking = tmp_path / "checkpoints", tmp_path / "tracking"
    checkpoints.mkdir()
    return checkpoints, tracking


def log(tracking, run, points):
    """Metrics as MLflow's file store keeps them: seconds after an hour ago, and step."""
    folder = tracking / "rank-0" / "0" / run / "metrics"
    folder.mkdir(parents=True, exist_ok=True)
    began = time.time() - 3600
    text = "".join(f"{int((began + at) * 1000)} 0.5 {step}\n" for at, step in points)
    (folder / "loss").write_text(text)
    return began


def test_without_a_checkpoint_a_run_starts_over(folders):
    checkpoints, tracking = folders
    log(tracking, "a", [(1, 0), (2, 1)])
    assert saved_progress.sentence(checkpoints, tracking) == "from the start: no checkpoint was saved"


def test_a_checkpoint_without_metrics_is_just_a_checkpoint(folders):
    checkpoints, tracking = folders
    (checkpoints / "state").write_text("x")
    assert saved_progress.sentence(checkpoints, tracking) == "from its checkpoint"


def test_only_steps_before_the_newest_checkpoint_count(folders):
    checkpoints, tracking = folders
    (checkpoints / "state").write_text("x")
    log(tracking, "a", [(1, 1), (2, 2)])
    began = log(tracking, "b", [(3, 2), (4, 3), (6, 4), (7, 5)])
    os.utime(checkpoints / "state", (began + 5, began + 5))
    told = saved_progress.sentence(checkpoints, tracking)
    assert told == "from its checkpoint (3 steps saved, the last is step 3)"


def test_steps_are_epochs_where_tensorflow_counts_the_same(folders):
    checkpoints, tracking = folders
    (checkpoints / "chief").mkdir()
    (checkpoints / "chief" / "checkpoint").write_text('model_checkpoint_path: "ckpt-2"\n')
    log(tracking, "a", [(1, 0), (2, 1)])
    assert saved_progress.sentence(checkpoints, tracking) == "from epoch 2 (2 epochs saved)"
    (checkpoints / "chief" / "checkpoint").write_text('model_checkpoint_path: "ckpt-900"\n')
    assert saved_progress.sentence(checkpoints, tracking) == "from its checkpoint (2 steps saved, the last is step 1)"


def test_only_a_second_attempt_says_what_it_goes_on_from(workspace, source, request_for):
    (source / "train.py").write_text(
        "import os, pathlib, sys\n"
        "state = pathlib.Path(os.environ['TRAINSTACK_CHECKPOINT_DIR'], 'state')\n"
        "again = state.exists()\nstate.write_text('1')\nsys.exit(0 if again else 3)\n"
    )
    lines = []
    run = submission.submit(
        workspace, request_for(retry_exit_codes=(3,), max_attempts=2, backoff=0), source, {}
    ).directory
    record = submission.follow(run, lines.append)
    assert record.resumed == "from its checkpoint"
    assert [event["saved"] for event in events(run) if event["kind"] == "resumed"] == ["from its checkpoint"]
    assert record.stages[2].reason == "attempt 2 from its checkpoint"


KERAS = """
import os, time
import mlflow
import tensorflow as tf

class Log(tf.keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        mlflow.log_metric("loss", logs["loss"], step=epoch + 1)

    def on_epoch_begin(self, epoch, logs=None):
        print("epoch", epoch, flush=True)
        time.sleep(0.4)

print("start", flush=True)
model = tf.keras.Sequential([tf.keras.layers.Input((1,)), tf.keras.layers.Dense(1)])
model.compile("sgd", "mse")
data = tf.constant([[1.0], [2.0]])
backup = tf.keras.callbacks.BackupAndRestore(os.environ["TRAINSTACK_CHECKPOINT_DIR"])
model.fit(data, data, epochs=8, callbacks=[Log(), backup], verbose=0)
print("done", flush=True)
"""


@pytest.mark.tensorflow
def test_keras_goes_on_at_the_epoch_that_is_named(workspace, source, request_for):
    (source / "train.py").write_text(KERAS)
    spec: EnvironmentSpec = get_curated("tensorflow-2.15")
    locked = lock(spec)
    build(spec, locked)
    request = request_for(grace=0)
    request.environment = LockedEnvironment(spec=spec, lock=locked)
    run = submission.submit(workspace, request, source, {}).directory
    until(lambda: printed(run, "epoch 5"), 60)
    submission.stop(run, "in the middle")
    with pytest.raises(RunFailedError):
        submission.follow(run)
    submission.submit(workspace, request, source, {})
    record = submission.follow(run)
    words = run.merged_log.read_text().split("start")[2].split()
    epochs = [int(number) for word, number in itertools.pairwise(words) if word == "epoch"]
    began_again = epochs[0]
    assert began_again > 0
    assert record.resumed == f"from epoch {began_again} ({began_again} epochs saved)"
    assert epochs[-1] == 7
