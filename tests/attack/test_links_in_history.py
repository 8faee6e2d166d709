"""A script leaves links and pipes where its MLflow client would write: nothing shows through them, and reading ends."""

import os
from pathlib import Path, PurePosixPath

import pytest

from trainstack.core.history import artifact_links
from trainstack.mlflow import logged_files, metric_files

RUN, MODEL, TRACE = "0" * 32, "m-" + "1" * 32, "tr-2"


@pytest.fixture
def home(tmp_path):
    """What the script may not see: a store as MLflow writes it, with a secret in each place."""
    run, experiment = tmp_path / "home" / "0" / RUN, tmp_path / "home" / "0"
    for name in ("params", "tags", "metrics", "artifacts"):
        (run / name).mkdir(parents=True)
        (run / name / "secret").write_text("1 2 3\n")
    for folder in (run, experiment / "models" / MODEL, tmp_path / "home" / "models" / "net"):
        (folder / "artifacts").mkdir(parents=True, exist_ok=True)
        (folder / "artifacts" / "secret").write_text("secret")
        (folder / "meta.yaml").write_text("name: secret\nstatus: 2\n")
    trace = experiment / "traces" / TRACE
    (trace / "artifacts").mkdir(parents=True)
    (trace / "trace_info.yaml").write_text("state: OK\n")
    (trace / "artifacts" / "traces.json").write_text('{"spans": [{"name": "secret"}]}')
    return tmp_path / "home"


def read_all(tracking: Path) -> str:
    """All that the history reads below a run's tracking folder."""
    runs = metric_files.runs(tracking)
    seen = [metric_files.read(tracking), metric_files.system_metrics(tracking)]
    for run in runs:
        seen += [run.params, run.tags, metric_files.NewPoints(run.folder).points(), logged_files.dataset_inputs(run)]
        seen += [logged_files.model_inputs(run), logged_files.model_outputs(run)]
        seen += [artifact_links.files(run.artifacts, PurePosixPath())]
    for model in logged_files.logged_models(tracking):
        seen += [model.about, model.params, model.tags, artifact_links.files(model.artifacts, PurePosixPath())]
    for registered in logged_files.registered_models(tracking):
        seen += [registered.name, registered.tags, registered.versions]
    for trace in logged_files.traces(tracking):
        seen += [trace.about, trace.tags, trace.data, trace.spans]
    return repr([list(each) if hasattr(each, "__next__") else each for each in seen])


def test_the_store_is_read_where_it_is_plain(home, tmp_path):
    home.rename(tmp_path / "rank-0")
    assert read_all(tmp_path).count("secret") > 8


@pytest.mark.parametrize(
    "place", ["rank-0", "rank-0/0", f"rank-0/0/{RUN}", f"rank-0/0/models/{MODEL}", f"rank-0/0/traces/{TRACE}"]
)
def test_nothing_is_read_through_a_folder_that_is_a_link(home, tmp_path, place):
    link = tmp_path / "tracking" / place
    link.parent.mkdir(parents=True)
    link.symlink_to(home / Path(place).relative_to("rank-0"))
    assert "secret" not in read_all(tmp_path / "tracking")


@pytest.mark.parametrize("name", ["params", "tags", "metrics", "artifacts"])
@pytest.mark.parametrize("whole", [True, False])
def test_nothing_is_read_through_a_link_in_a_run(home, tmp_path, name, whole):
    run = tmp_path / "tracking" / "rank-0" / "0" / RUN
    run.mkdir(parents=True)
    (run / "meta.yaml").write_text("start_time: 1\n")
    if whole:
        (run / name).symlink_to(home / "0" / RUN / name)
    else:
        (run / name).mkdir()
        (run / name / "secret-link").symlink_to(home / "0" / RUN / name / "secret")
        (run / name / "zero").symlink_to("/dev/zero")
    assert "secret" not in read_all(tmp_path / "tracking")
    assert len(metric_files.runs(tmp_path / "tracking")) == 1


def test_a_pipe_holds_nobody_up(tmp_path):
    run = tmp_path / "rank-0" / "0" / RUN
    for name in ("params", "metrics", "inputs/x", "outputs/m-1"):
        (run / name).mkdir(parents=True)
    for name in ("meta.yaml", "params/x", "metrics/x", "inputs/x/meta.yaml", "outputs/m-1/meta.yaml"):
        os.mkfifo(run / name)
    for folder in ("0/models/m-1", "models/net", "models/net/version-1"):
        (tmp_path / "rank-0" / folder).mkdir(parents=True)
        os.mkfifo(tmp_path / "rank-0" / folder / "meta.yaml")
    assert read_all(tmp_path).count(RUN) == 0
