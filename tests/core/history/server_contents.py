"""All that an MLflow server shows of an experiment, read over its REST API, with names in the place of ids."""

import json
from typing import Any

import httpx

# Ids, times and places that no two servers have in common.
_OWN = {
    "creation_timestamp",
    "creation_timestamp_ms",
    "last_updated_timestamp",
    "last_updated_timestamp_ms",
    "user_id",
    "request_time",
    "execution_duration",
    "dataset_id",
    "start_time_unix_nano",
    "end_time_unix_nano",
    "trace_id",
    "span_id",
    "timestamp",
    "parent_span_id",
    "client_request_id",
}


class ServerContents:
    """What one server shows of an experiment.

    Args:
        address: The server's address.
        token: The token that it asks for.
        experiment: The experiment's id.
    """

    def __init__(self, address: str, experiment: str, token: str | None = None) -> None:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._client = httpx.Client(base_url=address, headers=headers, timeout=60)
        self._experiment = experiment
        self._names = {}

    def read(self) -> dict[str, Any]:
        """Return runs by name, logged models, registered models and traces."""
        found = self._post("runs/search", experiment_ids=[self._experiment], run_view_type="ALL", max_results=100)
        runs = found.get("runs", [])
        models = self._post("logged-models/search", experiment_ids=[self._experiment]).get("models", [])
        traces = self._post(
            "/api/3.0/mlflow/traces/search",
            locations=[{"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": self._experiment}}],
        ).get("traces", [])
        for run in runs:
            self._names[run["info"]["run_id"]] = f"<run {run['info']['run_name']}>"
        for model in models:
            self._names[model["info"]["model_id"]] = f"<model {model['info']['name']}>"
        for number, trace in enumerate(traces):
            self._names[trace["trace_id"]] = f"<trace {number}>"
        contents = {
            "runs": {run["info"]["run_name"]: self._run(run) for run in runs},
            "logged models": {model["info"]["name"]: self._logged_model(model) for model in models},
            "registered models": self._registered_models(),
            "traces": [self._trace(trace) for trace in traces],
        }
        text = json.dumps(contents)
        for name, value in self._names.items():
            text = text.replace(name, value)
        text = text.replace(f"mlflow-artifacts:/{self._experiment}/", "mlflow-artifacts:/<experiment>/")
        text = text.replace(f'"experiment_id": "{self._experiment}"', '"experiment_id": "<experiment>"')
        return json.loads(text)

    def _run(self, run):
        info, data = run["info"], run["data"]
        metrics = sorted({metric["key"] for metric in data.get("metrics", [])})
        return {
            "name": info["run_name"],
            "status": info["status"],
            "stage": info["lifecycle_stage"],
            "ended": "end_time" in info,
            "params": _pairs(data.get("params", [])),
            "tags": _pairs(data.get("tags", [])),
            "latest": {entry["key"]: [entry["value"], entry["step"]] for entry in data.get("metrics", [])},
            "metrics": {name: self._history(info["run_id"], name) for name in metrics},
            "inputs": _plain(run.get("inputs", {})),
            "outputs": _plain(run.get("outputs", {})),
            "artifacts": self._files("artifacts/list", {"run_id": info["run_id"]}),
        }

    def _history(self, run, name):
        points = self._get("metrics/get-history", run_id=run, metric_key=name)["metrics"]
        explicit = 1_710_000_000_000
        times = [point["timestamp"] for point in points]
        # Those of the clock differ; that they are in order does not.
        assert times == sorted(times)
        return [
            [point["step"], point["value"], time if time < explicit else "now"]
            for point, time in zip(points, times, strict=True)
        ]

    def _files(self, call, query, path=None):
        listed = self._get(call, **query, **({"path": path} if path else {})).get("files", [])
        files = {}
        for file in listed:
            if file.get("is_dir"):
                files.update(self._files(call, query, file["path"]))
            else:
                files[file["path"]] = file.get("file_size", 0)
        return files

    def _logged_model(self, model):
        info = model["info"]
        call = f"logged-models/{info['model_id']}/artifacts/directories"
        info.pop("registrations", None)
        files = self._files(call, {})
        return {**_plain(info), "data": _plain(model.get("data", {})), "artifacts": files}

    def _registered_models(self):
        models = self._get("registered-models/search").get("registered_models", [])
        versions = self._get("model-versions/search", max_results=100).get("model_versions", [])
        return {
            model["name"]: {
                **_plain({name: value for name, value in model.items() if name != "latest_versions"}),
                "versions": {each["version"]: _plain(each) for each in versions if each["name"] == model["name"]},
            }
            for model in models
        }

    def _trace(self, trace):
        response = self._client.get("/ajax-api/3.0/mlflow/get-trace-artifact", params={"request_id": trace["trace_id"]})
        spans = response.json().get("spans", []) if response.is_success else response.json()["error_code"]
        return {"info": _plain(trace), "spans": _plain(spans)}

    def _get(self, call, **query):
        return self._answer(self._client.get(_path(call), params=query))

    def _post(self, call, **body):
        return self._answer(self._client.post(_path(call), json=body))

    @staticmethod
    def _answer(response):
        assert response.is_success, f"{response.request.url}: {response.text}"
        return response.json()


def _pairs(entries):
    return {entry["key"]: entry["value"] for entry in entries}


def _plain(value: Any) -> Any:
    """Leave out what no two servers have in common, and sort lists."""
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items() if name not in _OWN}
    if isinstance(value, list) and all(isinstance(each, dict) and set(each) == {"key", "value"} for each in value):
        return _pairs(value)
    if isinstance(value, list):
        plain = [_plain(each) for each in value]
        return sorted(plain, key=lambda each: json.dumps(each, sort_keys=True))
    return value


def _path(call):
    return call if call.startswith("/") else f"/api/2.0/mlflow/{call}"
