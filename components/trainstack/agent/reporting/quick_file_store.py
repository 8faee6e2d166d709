"""MLflow's file store, with a quicker way to log a metric. Runs in the script's process, beside its MLflow client.

The client finds it as the tracking store of `file:` addresses, by the entry point that the run's preparation writes
beside a copy of this file. MLflow's own store reads and checks the run's `meta.yaml` at each call; after a metric's
first value there is nothing new to learn from it, so what follows is appended to the metric's file at once. Each call
still ends with the value in the file: killed a moment later, the script has lost nothing. Where a client's version has
no such store, it goes on with its own.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:

    class _FileStore:
        """As much of MLflow's store, of any version, as is used here."""

        root_directory: str

        def __init__(self, *args: Any, **kwargs: Any) -> None: ...
        def log_metric(self, run_id: str, metric: Any) -> None: ...
        def log_batch(self, run_id: str, metrics: Any, params: Any, tags: Any) -> None: ...
        def delete_run(self, run_id: str) -> None: ...
        def get_run(self, run_id: str) -> Any: ...
else:
    _FileStore = importlib.import_module("mlflow.store.tracking.file_store").FileStore


class QuickFileStore(_FileStore):
    """The store of a run directory."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._known: dict[tuple[str, str], str] = {}
        self._experiments: dict[str, str] = {}

    def log_metric(self, run_id: str, metric: Any) -> None:
        """Append a value; the first one of a metric goes through MLflow's own checks."""
        if not self._append(run_id, metric):
            super().log_metric(run_id, metric)
            self._learn(run_id, metric.key)

    def log_batch(self, run_id: str, metrics: Any, params: Any, tags: Any) -> None:
        """Append values; what is new goes through MLflow's own checks."""
        remaining = [metric for metric in metrics if not self._append(run_id, metric)]
        if remaining or params or tags or not metrics:
            super().log_batch(run_id, remaining, params, tags)
            for metric in remaining:
                self._learn(run_id, metric.key)

    def delete_run(self, run_id: str) -> None:
        """Delete a run, after which MLflow refuses to log to it."""
        self._known = {key: path for key, path in self._known.items() if key[0] != run_id}
        super().delete_run(run_id)

    def _append(self, run_id: str, metric: Any) -> bool:
        """Write a value, when it is an ordinary one of a metric that is known."""
        path = self._known.get((run_id, metric.key))
        ordinary = type(metric.value) is float and type(metric.timestamp) is int and type(metric.step) is int
        more = ("model_id", "dataset_name", "dataset_digest")
        if path is None or not ordinary or metric.timestamp < 0 or any(getattr(metric, name, None) for name in more):
            return False
        try:
            file = os.open(path, os.O_WRONLY | os.O_APPEND)
        except FileNotFoundError:
            return False
        try:
            # One call, so that lines of several threads do not mix.
            os.write(file, f"{metric.timestamp} {metric.value} {metric.step}\n".encode())
        finally:
            os.close(file)
        return True

    def _learn(self, run_id: str, key: str) -> None:
        if run_id not in self._experiments:
            # It reads every metric that the run has.
            self._experiments[run_id] = self.get_run(run_id).info.experiment_id
        experiment = self._experiments[run_id]
        path = os.path.join(self.root_directory, experiment, run_id, "metrics", key)  # noqa: PTH118 - any Python
        if os.path.isfile(path):  # noqa: PTH113 - a str, not to make a Path a call
            self._known[run_id, key] = path


def quick_file_store(store_uri: str, **_: Any) -> QuickFileStore:
    """Make the store of an address, as MLflow asks for it.

    Args:
        store_uri: A `file:` address.
    """
    # The client looks for a Spark session in each call, twice. Where there is no Spark, a search of the whole path each
    # time; so noted, it fails at once.
    if importlib.util.find_spec("pyspark") is None:
        absent: Any = None
        sys.modules.setdefault("pyspark", absent)
    return QuickFileStore(store_uri, store_uri)
