"""A script that logs all that its MLflow client can, whatever the client's version."""
# pyright: reportMissingImports=false, reportAttributeAccessIssue=false

import pathlib
import tempfile

from mlflow.tracking import MlflowClient

import mlflow

VERSION = tuple(int(part) for part in mlflow.__version__.split(".")[:2])


def attempt(what, call):
    """Do what a server may refuse, and tag the run with how it went."""
    try:
        call()
    except Exception:  # noqa: BLE001
        mlflow.set_tag(f"refused.{what}", "yes")
    else:
        mlflow.set_tag(f"refused.{what}", "no")


def log_values(run_id):
    mlflow.log_params({"units": 8, "rate": 0.1, "layers/first": "dense", "layers": 2})
    attempt("long", lambda: mlflow.log_param("long", "ä" + "x" * 5999))
    attempt("longer", lambda: mlflow.log_param("longer", "x" * 6001))
    attempt("changed", lambda: mlflow.log_param("units", 9))
    for _ in range(3):
        mlflow.log_metric("same", 1.0)
    for step in range(4):
        mlflow.log_metrics({"loss": 1 / (step + 1), "loss/val": 2 / (step + 1)}, step=step)
    for value in ("nan", "inf", "-inf", "-0.0", "1e-300"):
        mlflow.log_metric("odd", float(value))
    attempt("step", lambda: mlflow.log_metric("fraction", 1.0, step=1.7))
    attempt("steps", lambda: mlflow.log_metrics({"fractions": 1.0}, step=1.7))
    attempt("text", lambda: mlflow.log_metric("text", "text"))
    mlflow.log_metric("fraction", 2.0, step=2)
    client = MlflowClient()
    for step, time in ((7, 1_700_000_000_005), (3, 1_700_000_000_009), (-1, 1_700_000_000_001), (3, 1_700_000_000_009)):
        client.log_metric(run_id, "timed", float(step), timestamp=time, step=step)


def log_files():
    folder = pathlib.Path(tempfile.mkdtemp())
    (folder / "sub folder").mkdir()
    (folder / "sub folder" / "ü.txt").write_text("text")
    (folder / "empty").touch()
    mlflow.log_artifacts(str(folder), "files")
    mlflow.log_text("some text", "notes/a.txt")
    mlflow.log_dict({"a": 1}, "a.json")


def log_datasets():
    from mlflow.data.http_dataset_source import HTTPDatasetSource
    from mlflow.data.meta_dataset import MetaDataset

    dataset = MetaDataset(HTTPDatasetSource("https://example.com/images.zip"), name="images")
    mlflow.log_input(dataset, context="training")
    mlflow.log_input(MetaDataset(HTTPDatasetSource("https://example.com/test.zip")), context="eval")


def log_models(run_id):
    import mlflow.pyfunc

    class Doubled(mlflow.pyfunc.PythonModel):
        def predict(self, context, model_input, params=None):
            return model_input * 2

    if VERSION >= (3, 0):
        logged = mlflow.pyfunc.log_model(
            name="doubled", python_model=Doubled(), registered_model_name="registered", params={"depth": 3}, step=5
        )
        mlflow.log_metric("by_model", 0.5, model_id=logged.model_id)
        mlflow.set_logged_model_tags(logged.model_id, {"kind": "small"})
        mlflow.create_external_model(name="elsewhere", model_type="agent")
    elif VERSION >= (2, 1):
        mlflow.pyfunc.log_model("doubled", python_model=Doubled(), registered_model_name="registered")
    else:
        # It has a registry only where it has a server.
        mlflow.pyfunc.log_model("doubled", python_model=Doubled())
        return
    mlflow.register_model(f"runs:/{run_id}/doubled", "registered")
    client = MlflowClient()
    client.update_model_version("registered", "2", description="the second")
    client.set_model_version_tag("registered", "2", "checked", "yes")
    client.update_registered_model("registered", description="by a script")
    client.set_registered_model_tag("registered", "team", "vision")
    if hasattr(client, "set_registered_model_alias"):
        client.set_registered_model_alias("registered", "champion", "1")
    client.create_registered_model("empty")


def log_traces():
    @mlflow.trace
    def add(a, b):
        with mlflow.start_span("inner") as span:
            span.set_inputs({"a": a})
            span.set_outputs(a + b)
        return a + b

    add(1, 2)
    mlflow.flush_trace_async_logging()


client = MlflowClient()
with mlflow.start_run(run_name="first") as run:
    run_id = run.info.run_id
    log_values(run_id)
    log_files()
    for fold in (1, 2):
        with mlflow.start_run(nested=True, run_name=f"fold {fold}"):
            mlflow.log_metric("score", fold / 2)
            mlflow.log_param("fold", fold)
            with mlflow.start_run(nested=True, run_name=f"inner {fold}"):
                mlflow.log_text("inner", "inner.txt")
    if VERSION >= (2, 4):
        log_datasets()
    log_models(run_id)
    if VERSION >= (3, 0):
        log_traces()
    mlflow.set_tag("mlflow.runName", "renamed")
    mlflow.set_tags({"late": "yes", "path/like": "a"})
    attempt("tag", lambda: mlflow.set_tag("long", "y" * 5000))
    mlflow.set_tag("gone", "soon")
    mlflow.delete_tag("gone")
    mlflow.set_tag("mlflow.note.content", "A *note*.")
for seed in (1, 2):
    with mlflow.start_run(run_name=f"seed {seed}"):
        mlflow.log_param("seed", seed)
        mlflow.log_metric("score", seed / 10, step=seed)
with mlflow.start_run(run_name="deleted") as deleted:
    mlflow.log_metric("score", 1.0)
client.delete_run(deleted.info.run_id)
failed = client.create_run("0", run_name="failed")
client.log_metric(failed.info.run_id, "score", 0.0)
client.set_terminated(failed.info.run_id, "FAILED")
