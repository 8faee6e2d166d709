"""A client of MLflow's REST API: as much of it as the history of a workspace needs.

The protocol is MLflow's REST API 2.0 (https://mlflow.org/docs/latest/rest-api.html). MLflow itself is not imported.
"""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from trainstack.errors import InvalidInputError, TrackingError
from trainstack.mlflow.metric_files import Point

if TYPE_CHECKING:
    import httpx

# What MLflow takes in one call.
_METRICS, _PARAMS, _TAGS = 1000, 100, 100
_PARAM_LENGTH, _TAG_LENGTH = 6000, 5000
_LOOPBACK = ("127.0.0.1", "::1", "localhost")


def checked_address(uri: str) -> str:
    """Return the address of a user's server when it can be one.

    Raises:
        InvalidInputError: It is no http address, or holds a password.
    """
    parts = urlsplit(uri)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise InvalidInputError(
            f"tracking_uri {uri!r} is no address of a server: write one like https://mlflow.example.com",
            field="tracking_uri",
        )
    if parts.username or parts.password:
        raise InvalidInputError(
            "tracking_uri holds a user or password: set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or "
            "MLFLOW_TRACKING_TOKEN, instead",
            field="tracking_uri",
        )
    return uri.rstrip("/")


class TrackingServer:
    """Calls to one server.

    Args:
        uri: Its address.
        token: The token that it asks for; for a server elsewhere than on this machine, MLflow's own variables
            (`MLFLOW_TRACKING_TOKEN`, …) when left out.
        timeout: Seconds that a call may take.
    """

    def __init__(self, uri: str, *, token: str | None = None, timeout: float = 30.0) -> None:
        import httpx

        self.uri = uri.rstrip("/")
        local = urlsplit(uri).hostname in _LOOPBACK
        headers: dict[str, str] = {}
        auth: tuple[str, str] | None = None
        if token:
            headers["Authorization"] = f"Bearer {token}"
        elif not local:
            if token := os.environ.get("MLFLOW_TRACKING_TOKEN"):
                headers["Authorization"] = f"Bearer {token}"
            elif user := os.environ.get("MLFLOW_TRACKING_USERNAME"):
                auth = (user, os.environ.get("MLFLOW_TRACKING_PASSWORD", ""))
        # A server on this machine is reached without the proxies of the environment.
        self._client: httpx.Client = httpx.Client(
            base_url=f"{self.uri}/api/2.0/mlflow/", timeout=timeout, trust_env=not local, headers=headers, auth=auth
        )

    def close(self) -> None:
        """Close its connections."""
        self._client.close()

    def healthy(self, seconds: float = 2.0) -> bool:
        """Return whether it answers within `seconds`."""
        import httpx

        try:
            return self._client.get(f"{self.uri}/health", timeout=seconds).is_success
        except httpx.HTTPError:
            return False

    def experiment(self, name: str) -> str:
        """Return the id of an experiment, which is created when missing, and restored when deleted."""
        response = self.get_or_none("experiments/get-by-name", experiment_name=name)
        if response is None:
            try:
                return str(self.post("experiments/create", name=name)["experiment_id"])
            except TrackingError as exc:
                if exc.code != "RESOURCE_ALREADY_EXISTS":
                    raise
                response = self.get("experiments/get-by-name", experiment_name=name)
        experiment = response["experiment"]
        if experiment.get("lifecycle_stage") == "deleted":
            self.post("experiments/restore", experiment_id=experiment["experiment_id"])
        return str(experiment["experiment_id"])

    def find_run(self, experiment: str, tag: str, value: str, *, deleted: bool = False) -> str | None:
        """Return the id of the newest run of an experiment with a tag, or None.

        Args:
            experiment: The experiment's id.
            tag: The tag's name.
            value: Its value.
            deleted: Also look among those that were deleted.
        """
        response = self.post(
            "runs/search",
            experiment_ids=[experiment],
            filter=f"tags.`{tag}` = '{value}'",
            max_results=1,
            run_view_type="ALL" if deleted else "ACTIVE_ONLY",
        )
        runs: list[dict[str, Any]] = response.get("runs", [])
        return str(runs[0]["info"]["run_id"]) if runs else None

    def create_run(self, experiment: str, name: str, started: float, tags: Mapping[str, str]) -> str:
        """Create a run.

        Args:
            experiment: The experiment's id.
            name: Its name on the page.
            started: Seconds since the epoch.
            tags: Its first tags.

        Returns:
            Its id.
        """
        response = self.post(
            "runs/create", experiment_id=experiment, run_name=name, start_time=int(started * 1000), tags=_pairs(tags)
        )
        return str(response["run"]["info"]["run_id"])

    def set_status(self, run: str, status: str, ended: float | None = None) -> None:
        """Set the status of a run: `SCHEDULED`, `RUNNING`, `FINISHED`, `FAILED` or `KILLED`."""
        end = {} if ended is None else {"end_time": int(ended * 1000)}
        self.post("runs/update", run_id=run, status=status, **end)

    def log(
        self,
        run: str,
        *,
        metrics: Sequence[tuple[str, Point]] = (),
        params: Mapping[str, str] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        """Log metrics, parameters and tags; what the server has already stays, so that logging it twice is harmless."""
        for part in _parts(list((params or {}).items()), _PARAMS):
            self.post("runs/log-batch", run_id=run, params=_pairs(dict(part), _PARAM_LENGTH))
        for part in _parts(list((tags or {}).items()), _TAGS):
            self.post("runs/log-batch", run_id=run, tags=_pairs(dict(part)))
        for part in _parts(metrics, _METRICS):
            points = [{"key": key, **_point(point)} for key, point in part]
            self.post("runs/log-batch", run_id=run, metrics=points)

    def delete_tag(self, run: str, tag: str) -> None:
        """Remove a tag of a run."""
        self.post("runs/delete-tag", run_id=run, key=tag)

    def log_model_metrics(self, run: str, model: str, metrics: Sequence[tuple[str, Point]]) -> None:
        """Log metrics of a logged model, which a run computed."""
        for part in _parts(metrics, _METRICS):
            points: list[dict[str, Any]] = []
            for key, point in part:
                dataset = dict(zip(("dataset_name", "dataset_digest"), point.context[1:], strict=False))
                points.append({"key": key, **_point(point), "model_id": model, **dataset})
            self.post("runs/log-batch", run_id=run, metrics=points)

    def log_dataset(self, run: str, *, name: str, digest: str, source: str, context: str = "training") -> None:
        """Log a dataset as an input of a run."""
        dataset = {"name": name, "digest": digest[:36], "source_type": "trainstack", "source": source}
        tags = [{"key": "mlflow.data.context", "value": context}]
        self.post("runs/log-inputs", run_id=run, datasets=[{"tags": tags, "dataset": dataset}])

    def get(self, path: str, /, **query: Any) -> dict[str, Any]:
        """Send a GET request.

        Args:
            path: The call's name below MLflow's API 2.0, or a path of the server that begins with a slash.
            query: The query's parameters.

        Raises:
            TrackingError: No answer, or a refusal.
        """
        return self._call("GET", path, params=query)

    def get_or_none(self, path: str, /, **query: Any) -> dict[str, Any] | None:
        """Send a GET request, and return None when the resource does not exist.

        Raises:
            TrackingError: No answer, or another refusal.
        """
        try:
            return self.get(path, **query)
        except TrackingError as exc:
            if exc.code == "RESOURCE_DOES_NOT_EXIST":
                return None
            raise

    def post(self, path: str, /, **body: Any) -> dict[str, Any]:
        """Send a POST request.

        Raises:
            TrackingError: No answer, or a refusal.
        """
        return self._call("POST", path, json=body)

    def call(self, method: str, path: str, /, **body: Any) -> dict[str, Any]:
        """Send a request by another method, `PATCH` or `DELETE`.

        Raises:
            TrackingError: No answer, or a refusal.
        """
        return self._call(method, path, json=body)

    def upload(self, artifact_uri: str, path: str, data: bytes) -> None:
        """Put a file among a run's artifacts, where the server itself passes them on.

        Args:
            artifact_uri: Where the server says that the run's artifacts are.
            path: The file's path below that.
            data: Its bytes.

        Raises:
            TrackingError: The server keeps artifacts elsewhere, or refuses.
        """
        import httpx

        scheme, _, at = artifact_uri.partition(":")
        if scheme != "mlflow-artifacts":
            raise TrackingError(
                f"the tracking server at {self.uri} keeps artifacts at {artifact_uri} and does not pass them on: "
                "start it with --serve-artifacts"
            )
        address = f"{self.uri}/api/2.0/mlflow-artifacts/artifacts/{at.lstrip('/')}/{path}"
        try:
            self._client.put(address, content=data).raise_for_status()
        except httpx.HTTPError as exc:
            raise TrackingError(f"the tracking server at {self.uri} did not take {path}: {exc}") from exc

    def export_spans(self, experiment: str, document: Mapping[str, Any]) -> None:
        """Send spans of traces in OpenTelemetry's form.

        Args:
            experiment: The experiment's id.
            document: An `ExportTraceServiceRequest` as JSON.

        Raises:
            TrackingError: No answer, or a refusal; a server before MLflow 3.4 has no such call.
        """
        import httpx

        try:
            response = self._client.post(
                f"{self.uri}/v1/traces", json=document, headers={"x-mlflow-experiment-id": experiment}
            )
        except httpx.HTTPError as exc:
            raise TrackingError(f"the tracking server at {self.uri} does not answer: {exc}") from exc
        if not response.is_success:
            raise TrackingError(
                f"the tracking server at {self.uri} refused spans: {response.text[:200]}", str(response.status_code)
            )

    def _call(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        import httpx

        address = f"{self.uri}{path}" if path.startswith("/") else path
        try:
            response = self._client.request(method, address, **options)
        except httpx.HTTPError as exc:
            raise TrackingError(f"the tracking server at {self.uri} does not answer: {exc}") from exc
        with contextlib.suppress(ValueError):
            document: dict[str, Any] = response.json()
            if response.is_success:
                return document
            code = str(document.get("error_code", response.status_code))
            message = document.get("message", code)
            raise TrackingError(f"the tracking server at {self.uri} refused {path}: {message}", code)
        # An older server does not have every call.
        code = "ENDPOINT_NOT_FOUND" if response.status_code in (404, 405) else ""
        raise TrackingError(f"{self.uri} does not speak MLflow: {path} gave status {response.status_code}", code)


def _pairs(values: Mapping[str, str], length: int = _TAG_LENGTH) -> list[dict[str, str]]:
    return [{"key": key, "value": str(value)[:length]} for key, value in values.items()]


def _point(point: Point) -> dict[str, Any]:
    return {"value": _number(point.value), "timestamp": point.time, "step": point.step}


def _number(value: float) -> float | str:
    """JSON has neither NaN nor infinities; MLflow's protocol buffers take their names."""
    if math.isnan(value):
        return "NaN"
    return value if math.isfinite(value) else "Infinity" if value > 0 else "-Infinity"


def _parts(values: Sequence[Any], size: int) -> Iterable[Sequence[Any]]:
    for start in range(0, len(values), size):
        yield values[start : start + size]
