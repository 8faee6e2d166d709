"""Data that stays in its bucket, through the real engine."""

import os
from datetime import timedelta

import obstore
import pytest

from trainstack.core.runs.index import newest
from trainstack.core.workspace.workspace import Workspace
from trainstack.storage.object_store.connection import connect

pytestmark = pytest.mark.end_to_end

PROGRAM = """
import os
import trainstack as ts

workspace = ts.Workspace("tiny")
nodes = ts.Compute("nodes", ts.ComputeArgs(workspace=workspace, max_nodes=2, cache_gib=1))
tools = ts.Environment("tools", ts.EnvironmentArgs(packages=["six==1.17.0"]))
lake = ts.Datastore("lake", ts.DatastoreArgs(root="ROOT", endpoint="ENDPOINT"))
photos = ts.Dataset("photos", ts.DatasetArgs(workspace=workspace, paths=[lake.path("photos/**/*.png")]))
fit = ts.TrainingRun("fit", ts.TrainingRunArgs(
    source_directory="fit", script="fit.py", compute=nodes, environment=tools,
    arguments={"--data": photos.as_mount()}))
"""
FIT = """
import pathlib, sys
files = sorted(pathlib.Path(sys.argv[2]).rglob("*.png"))
pathlib.Path("outputs/read").write_text(" ".join(f"{path.name}={path.read_text()}" for path in files))
"""


@pytest.fixture
def put(bucket_address):
    store = connect(bucket_address, timeout=timedelta(seconds=20), retries=3)
    return lambda name, text: obstore.put(store, name, text.encode())


def outputs(project):
    runs = newest(Workspace.open(project.root / ".trainstack" / "tiny"))
    return {(project.root / ".trainstack/tiny/runs" / run.id / "outputs/read").read_text() for run in runs}


def test_data_in_place_is_previewed_trained_on_and_noticed_when_it_changes(project, bucket_address, put):
    put("photos/a.png", "1")
    put("photos/deep/b.png", "2")
    project.write(
        "__main__.py", PROGRAM.replace("ROOT", bucket_address).replace("ENDPOINT", os.environ["AWS_ENDPOINT_URL"])
    )
    project.write("fit/fit.py", FIT)
    project.up()
    assert outputs(project) == {"a.png=1 b.png=2"}
    project.unchanged()
    put("photos/a.png", "3")
    previewed = project.preview().text
    assert "data in place: 1 changed (a.png)" in previewed
    assert "will retrain: dataset photos: a.png changed" in previewed
    project.up()
    assert outputs(project) == {"a.png=1 b.png=2", "a.png=3 b.png=2"}
    project.unchanged()
    state = project.pulumi("stack", "export").text
    assert os.environ["AWS_SECRET_ACCESS_KEY"] not in state
    put("photos/a.png", "1")
    # The bytes that it had before are its first version, whose run is finished.
    assert "adopts finished run" in project.preview().text
    project.write(
        "__main__.py", project.root.joinpath("programs/main/__main__.py").read_text().replace("/*.png", "/*.jpg")
    )
    assert "no object matches" in project.preview(expect=None).text


def test_a_workspace_in_a_store_has_the_list_for_another_machine(project, bucket_address, put, monkeypatch, tmp_path):
    put("photos/a.png", "1")
    program = PROGRAM.replace("ROOT", bucket_address).replace("ENDPOINT", os.environ["AWS_ENDPOINT_URL"])
    shared = f'ts.Workspace("tiny", ts.WorkspaceArgs(root="{bucket_address}/workspace"))'
    project.write("__main__.py", program.replace('ts.Workspace("tiny")', shared))
    project.write("fit/fit.py", FIT)
    project.up()
    project.variables["TRAINSTACK_CACHE"] = str(tmp_path / "another machine")
    project.unchanged()
