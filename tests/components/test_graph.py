"""The graph that a program declares, under Pulumi's mocks."""

import gc
import subprocess
import sys

import pulumi
import pytest


def deploy(program):
    """Run a program as `pulumi.runtime.test` does, to the end of all its resources."""

    @pulumi.runtime.test
    def run():
        return program()

    run()


def kind(name):
    return f"pulumi-python:dynamic/trainstack:{name}"


def test_the_whole_walk_is_one_graph(recorder):
    import trainstack as ts

    seen = {}

    def program():
        workspace = ts.Workspace("ws")
        cluster = ts.Compute("cpu", ts.ComputeArgs(workspace=workspace, max_nodes=2))
        data = ts.Dataset("mnist", ts.DatasetArgs(workspace=workspace, urls=["http://localhost/a.gz"]))
        tf = ts.Environment("tf", ts.EnvironmentArgs(packages=["six==1.17.0"]))
        run = ts.TrainingRun(
            "mlp",
            ts.TrainingRunArgs(
                source_directory="scripts",
                script="train.py",
                arguments={"--data": data.as_mount(), "--lr": 0.1},
                compute=cluster,
                environment=tf,
                distribution=ts.Horovod(node_count=2),
                secret_variables={"TOKEN": "sesame"},
            ),
        )
        model = ts.Model("dnn", ts.ModelArgs(run=run, path="outputs/model"))
        service = ts.WebService("svc", ts.WebServiceArgs(model=model))
        return pulumi.Output.all(run.metrics["accuracy"], model.summary, service.scoring_uri, run.logs).apply(
            lambda values: seen.update(accuracy=values[0], model=values[1], logs=values[3])
        )

    deploy(program)
    run = recorder.resources[kind("TrainingRun"), "mlp"]
    assert run["arguments"] == {"--data": "${dataset:mnist}", "--lr": 0.1}
    assert run["datasets"]["mnist"] == {"name": "mnist", "version": 1, "digest": "d" * 64, "mode": "mount"}
    assert run["source_directory"] == "scripts"
    assert run["distribution"]["node_count"] == 2
    assert run["workspace"] == ".trainstack/ws"
    assert recorder.resources[kind("Model"), "dnn"]["run_id"] == "r1"
    assert recorder.resources[kind("WebService"), "svc"]["model_version"] == 1
    assert seen["accuracy"] == 0.98
    assert seen["model"]["version"] == 1
    assert seen["logs"].endswith(".trainstack/ws/runs/r1/logs/run.txt")


def test_each_component_has_one_child_whose_urn_is_its_own(recorder):
    import trainstack as ts

    deploy(lambda: ts.Workspace("ws").root)
    child = recorder.resources[kind("Workspace"), "ws"]
    # Mocks put the stack's type before it, which the engine does not.
    assert child["urn"].endswith("trainstack:index:Workspace$pulumi-python:dynamic/trainstack:Workspace::ws")


def test_a_workspace_is_found_by_its_config_in_a_parent(recorder, tmp_path, monkeypatch):
    import trainstack as ts

    (tmp_path / "config.json").write_text('{"name": "shared", "root": "store"}')
    (tmp_path / "deep" / "er").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "deep" / "er")
    deploy(lambda: ts.Workspace.from_config().root)
    assert recorder.resources[kind("Workspace"), "shared"]["name"] == "shared"


def test_no_config_is_one_clear_line(recorder, tmp_path):
    import trainstack as ts

    with pytest.raises(pulumi.RunError, match=r"Workspace\.from_config: no workspace in .* or a parent"):
        ts.Workspace.from_config(str(tmp_path))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({}, "none given"),
        ({"packages": ["six"], "curated_name": "tensorflow-2.15"}, "packages and curated given"),
        ({"curated_name": "tensorflow-2.15", "variables": {"A": "1"}}, "clone it"),
    ],
)
def test_a_wrong_environment_is_one_clear_line(recorder, arguments, words):
    import trainstack as ts

    with pytest.raises(pulumi.RunError, match=words):
        ts.Environment("e", ts.EnvironmentArgs(**arguments))


def test_a_model_needs_a_run_or_a_workspace(recorder):
    import trainstack as ts

    with pytest.raises(pulumi.RunError, match="give the run"):
        ts.Model("m", ts.ModelArgs(path="folder"))


def test_secrets_are_marked_secret(recorder):
    import trainstack as ts

    def program():
        workspace = ts.Workspace("ws")
        run = ts.TrainingRun(
            "r",
            ts.TrainingRunArgs(
                source_directory=".",
                script="t.py",
                compute=ts.Compute("c", ts.ComputeArgs(workspace=workspace)),
                environment=ts.Environment("e", ts.EnvironmentArgs(packages=["six"])),
                secret_variables={"TOKEN": "sesame"},
            ),
        )
        return run.run_id

    deploy(program)
    assert recorder.resources[kind("TrainingRun"), "r"]["secret_variables"]


def test_saved_environment_comes_back_with_its_lock(recorder, tmp_path):
    import trainstack as ts

    ts.EnvironmentArgs(packages=["six==1.17.0"], variables={"A": "1"}).save_to_directory(
        str(tmp_path / "saved"), "tiny"
    )
    back = ts.EnvironmentArgs.from_directory(str(tmp_path / "saved")).spec("tiny")
    assert back["packages"] == ["six==1.17.0"]
    assert back["variables"] == {"A": "1"}
    assert "six==1.17.0" in back["lock"]


def test_curated_environment_is_cloned_under_a_new_name(recorder):
    import trainstack as ts

    cloned = ts.EnvironmentArgs.clone("tensorflow-2.15").spec("mine")
    assert cloned["name"] == "mine"
    assert "curated" not in cloned
    assert "tensorflow-cpu==2.15.1" in cloned["packages"]
    assert "tensorflow-cpu==2.15.1" in cloned["lock"]


def test_named_addresses_name_the_files_of_a_dataset(recorder):
    import trainstack as ts

    def program():
        urls = {"a.txt": "http://localhost/download?id=1", "b.txt": ["http://one/b", "http://two/b"]}
        return ts.Dataset("d", ts.DatasetArgs(workspace=ts.Workspace("ws"), urls=urls)).version

    deploy(program)
    assert set(recorder.resources[kind("Dataset"), "d"]["urls"]) == {"a.txt", "b.txt"}


def test_what_a_workspace_has_is_adopted_without_any_source(recorder):
    import trainstack as ts

    def program():
        workspace = ts.Workspace("ws")
        data = ts.Dataset.get("mnist", workspace, version=2)
        run = ts.TrainingRun.get("mlp", workspace)
        model = ts.Model.get("dnn", workspace)
        service = ts.WebService("svc", ts.WebServiceArgs(model=model))
        return pulumi.Output.all(data.version, run.metrics["accuracy"], model.path, service.scoring_uri)

    deploy(program)
    adopted = {"workspace": ".trainstack/ws", "name": "mnist", "version_or_id": 2}
    given = recorder.resources[kind("Dataset"), "mnist"]
    assert {name: given[name] for name in adopted} == adopted
    assert "urls" not in given
    assert recorder.resources[kind("TrainingRun"), "mlp"]["name"] == "mlp"
    assert recorder.resources[kind("WebService"), "svc"]["model_name"] == "dnn"


def test_declaring_loads_nothing_that_only_the_provider_needs():
    heavy = (
        "pydantic",
        "httpx",
        "docker",
        "kubernetes",
        "mlflow",
        "optuna",
        "tensorflow",
        "trainstack.core.environments.pins",
    )
    program = (
        "import sys, trainstack as ts; [getattr(ts, name) for name in ts.__all__ if name != 'History']; "
        f"print([name for name in {heavy!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_what_a_run_leaves_is_one_dataset_however_often_used(recorder):
    import trainstack as ts

    def program():
        workspace = ts.Workspace("ws")
        prepare = ts.TrainingRun.get("prepare", workspace)
        names = [prepare.output(path).as_mount().dataset.name for path in ("outputs/a b", "./outputs/a b/", "logs")]
        assert names == ["prepare-a-b", "prepare-a-b", "prepare-logs"]
        with pytest.raises(pulumi.RunError, match=r"'outputs/\.\./\.\./x' must lead into the run"):
            prepare.output("outputs/../../x")
        return prepare.output("outputs/a b").dataset.version

    deploy(program)
    assert recorder.resources[kind("Dataset"), "prepare-a-b"]["paths"] == [".trainstack/ws/runs/r1/outputs/a b"]


def test_a_preview_names_the_copies_and_makes_none(recorder, tmp_path, monkeypatch):
    import trainstack as ts

    weights = tmp_path / ".trainstack/ws/runs/r1/outputs/model/weights"
    weights.parent.mkdir(parents=True)
    weights.touch()
    named = []

    def program():
        run = ts.TrainingRun.get("mlp", ts.Workspace("ws"))
        return run.download_files("outputs/model", "here", append_prefix=False).apply(named.append)

    with monkeypatch.context() as preview:
        preview.setattr(pulumi.runtime, "is_dry_run", lambda: True)
        deploy(program)
    assert named == [[str(tmp_path / "here" / "weights")]]
    assert not (tmp_path / "here").exists()
    deploy(program)
    assert (tmp_path / "here" / "weights").exists()


@pytest.mark.parametrize(
    ("place", "words"),
    [
        (lambda secret: {"arguments": {"--token": secret}}, "run r: argument --token is a secret"),
        (lambda secret: {"arguments": ["x", secret]}, "run r: argument 1 is a secret"),
        (lambda secret: {"arguments": {"--many": [1, secret]}}, "run r: argument --many is a secret"),
        (lambda secret: {"environment_variables": {"KEY": secret}}, "run r: variable KEY is a secret"),
        (lambda secret: {"timeout": secret}, "run r: timeout is a secret"),
        (lambda secret: {"retry_exit_codes": [1, secret]}, "run r: retry_exit_codes is a secret"),
        (lambda secret: {"trigger": secret}, "run r: trigger is a secret"),
    ],
    ids=["by name", "by position", "in a list", "in a variable", "as a timeout", "as an exit code", "as a trigger"],
)
def test_a_secret_where_everybody_sees_it_is_refused(recorder, place, words):
    import trainstack as ts

    def program():
        args = ts.TrainingRunArgs(
            source_directory=".",
            script="t.py",
            compute=ts.Compute("c", ts.ComputeArgs(workspace=ts.Workspace("ws"))),
            environment=ts.Environment("e", ts.EnvironmentArgs(packages=["six"])),
            **place(pulumi.Output.secret("sesame")),
        )
        return ts.TrainingRun("r", args).run_id

    with pytest.raises(pulumi.RunError, match=words) as refused:
        deploy(program)
    assert "sesame" not in str(refused.value)
    assert (kind("TrainingRun"), "r") not in recorder.resources
    # Pulumi's futures hold the error, and nobody reads it there: let them complain in this test, not at pytest's end.
    del refused
    gc.collect()


@pytest.mark.parametrize(
    ("declare", "words"),
    [
        (
            lambda ts, secret: ts.Environment("e", ts.EnvironmentArgs(packages=["six"], variables={"KEY": secret})),
            "environment e: variables is a secret",
        ),
        (
            lambda ts, secret: ts.Dataset("d", ts.DatasetArgs(workspace=ts.Workspace("ws"), urls=[secret])),
            "dataset d: urls is a secret",
        ),
    ],
    ids=["environment", "dataset"],
)
def test_a_secret_is_refused_in_what_a_run_is_made_of(recorder, declare, words):
    import trainstack as ts

    with pytest.raises(pulumi.RunError, match=words) as refused:
        deploy(lambda: declare(ts, pulumi.Output.secret("sesame")))
    assert "sesame" not in str(refused.value)
    del refused
    gc.collect()


def test_a_path_in_a_datastore_is_an_address_and_how_to_reach_it(recorder):
    import trainstack as ts

    def program():
        workspace = ts.Workspace("ws")
        bucket = pulumi.Output.from_input("s3://team")
        lake = ts.Datastore("lake", ts.DatastoreArgs(root=pulumi.Output.concat(bucket, "/lake/"), anonymous=True))
        paths = [lake.path("photos/*.png"), lake.path(), "gs://other/x", "local.csv"]
        ts.Dataset("photos", ts.DatasetArgs(workspace=workspace, paths=paths))

    deploy(program)
    inputs = recorder.resources[kind("Dataset"), "photos"]
    assert inputs["paths"] == ["s3://team/lake/photos/*.png", "s3://team/lake/", "gs://other/x", "local.csv"]
    assert inputs["datastores"] == [{"root": "s3://team/lake", "anonymous": True}]
    assert ("trainstack:index:Datastore", "lake") in recorder.resources
