"""MLflow's file store, with a quicker way to log a metric. Runs in the script's process, beside its MLflow client.

The client finds it as the tracking store of `file:` addresses, by the entry point that the run's preparation writes
beside a copy of this file. MLflow's own store reads and checks the run's `meta.yaml` at each call; after a metric's
first value there is nothing new to learn from it, so what follows is appended to the metric's file at once. Each call
still ends with the value in the file: killed a moment later, the script has lost nothing. Where a client's version has
no such store, it goes on with its own.

It takes and refuses what MLflow's server does, where the file store differs: `loss` and `loss/val` are both kept, a
step of 1.7 is refused at once and not when the run is read, and values that are logged within a millisecond all count,
in their order.
"""

from __future__ import annotations

import importlib
import importlib.util
import operator
import os
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:

    class _FileStore:
        """As much of MLflow's store, of any version, as is used here."""

        root_directory: str

        def __init__(self, *args: Any, **kwargs: Any) -> None: ...
        def log_metric(self, run_id: str, metric: Any) -> None: ...
        def log_batch(self, run_id: str, metrics: Any, params: Any, tags: Any) -> None: ...
        def delete_run(self, run_id: str) -> None: ...
        def _get_run_info(self, run_uuid: str) -> Any: ...
        def _get_run_dir(self, experiment_id: str, run_uuid: str) -> str | None: ...
        def _get_metric_path(self, experiment_id: str, run_uuid: str, metric_key: str) -> str: ...
        def _get_param_path(self, experiment_id: str, run_uuid: str, param_name: str) -> str: ...
        def _get_tag_path(self, experiment_id: str, run_uuid: str, tag_name: str) -> str: ...
        def get_logged_model(self, model_id: str) -> Any: ...
        def log_logged_model_params(self, model_id: str, params: Any) -> None: ...
        def set_logged_model_tags(self, model_id: str, tags: Any) -> None: ...
        def _get_model_dir(self, experiment_id: str, model_id: str) -> str: ...
        def _get_model_metric_path(self, experiment_id: str, model_id: str, metric_key: str) -> str: ...
        def _get_resource_files(self, root_dir: str, subfolder_name: str) -> tuple[str, list[str]]: ...

    _file_store: Any
else:
    _file_store = importlib.import_module("mlflow.store.tracking.file_store")
    _FileStore = _file_store.FileStore

_PARAM_LENGTH = 6000
_FOLDER = "~"
"""Ends the folders that a name with slashes becomes. It is in no name that MLflow takes, so none is a file's too."""
# A value whose time is further from now has it from the script.
_NOW_MILLISECONDS = 1000
# So far values of one step run ahead of the clock, until a call waits for it.
_AHEAD_MILLISECONDS = 100


class QuickFileStore(_FileStore):
    """The store of a run directory."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._known: dict[tuple[str, str], str] = {}
        self._last: dict[tuple[str, str], tuple[int, int]] = {}
        self._folders: dict[str, str] = {}
        self._times = threading.Lock()

    def log_metric(self, run_id: str, metric: Any) -> None:
        """Append a value; the first one of a metric goes through MLflow's own checks.

        Raises:
            TypeError: Its step or time is no integer, as MLflow's client says before it calls a server.
        """
        self._check(run_id, metric)
        if not self._append(run_id, metric):
            super().log_metric(run_id, metric)
            self._learn(run_id, metric.key)

    def log_batch(self, run_id: str, metrics: Any, params: Any, tags: Any) -> None:
        """Append values; what is new goes through MLflow's own checks.

        Raises:
            TypeError: A step or time is no integer.
        """
        for metric in metrics:
            self._check(run_id, metric)
        remaining = [metric for metric in metrics if not self._append(run_id, metric)]
        if remaining or params or tags or not metrics:
            super().log_batch(run_id, remaining, params, tags)
            for metric in remaining:
                self._learn(run_id, metric.key)

    def delete_run(self, run_id: str) -> None:
        """Delete a run, after which MLflow refuses to log to it."""
        self._known = {key: path for key, path in self._known.items() if key[0] != run_id}
        super().delete_run(run_id)

    def _check(self, run_id: str, metric: Any) -> None:
        """Refuse what a server does, and set apart values of one step and millisecond."""
        metric._step, metric._timestamp = int(operator.index(metric.step)), int(operator.index(metric.timestamp))
        step, at = metric.step, metric.timestamp
        now = time.time() * 1000
        if abs(now - at) > _NOW_MILLISECONDS:
            return
        # A client that logs in the background does so from several threads.
        with self._times:
            last_step, last = self._last.get((run_id, metric.key), (None, 0))
            behind = step == last_step and at <= last
            if behind:
                # Of two values of one step and millisecond a server shows the greater one as the last.
                at = metric._timestamp = last + 1
            self._last[run_id, metric.key] = (step, at)
        if behind and at - now > _AHEAD_MILLISECONDS:
            time.sleep((at - now - _AHEAD_MILLISECONDS) / 1000)

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
        if run_id not in self._folders:
            self._get_run_dir(self._get_run_info(run_id).experiment_id, run_id)
        path = os.path.join(self._folders[run_id], "metrics", _file_name(key))  # noqa: PTH118 (a str, not to make a Path a call)
        if os.path.isfile(path):  # noqa: PTH113
            self._known[run_id, key] = path

    def _get_run_dir(self, experiment_id: str, run_uuid: str) -> str | None:
        # MLflow looks through all experiments for each new metric, parameter and tag.
        folder = self._folders.get(run_uuid)
        if folder is not None and os.path.isdir(folder):  # noqa: PTH112
            return folder
        folder = super()._get_run_dir(experiment_id, run_uuid)
        if folder is not None:
            self._folders[run_uuid] = folder
        return folder

    # Where MLflow writes a name, and how it reads one: with slashes, in folders that are no other name's file.

    def _get_metric_path(self, experiment_id: str, run_uuid: str, metric_key: str) -> str:
        return _stored(super()._get_metric_path(experiment_id, run_uuid, metric_key), metric_key)

    def _get_param_path(self, experiment_id: str, run_uuid: str, param_name: str) -> str:
        return _stored(super()._get_param_path(experiment_id, run_uuid, param_name), param_name)

    def _get_tag_path(self, experiment_id: str, run_uuid: str, tag_name: str) -> str:
        return _stored(super()._get_tag_path(experiment_id, run_uuid, tag_name), tag_name)

    def _get_model_metric_path(self, experiment_id: str, model_id: str, metric_key: str) -> str:
        return _stored(super()._get_model_metric_path(experiment_id, model_id, metric_key), metric_key)

    def log_logged_model_params(self, model_id: str, params: Any) -> None:
        """Log parameters of a model, which has those of its run."""
        super().log_logged_model_params(model_id, [param for param in params or () if "/" not in param.key])
        self._write_with_slashes(model_id, "params", params)

    def set_logged_model_tags(self, model_id: str, tags: Any) -> None:
        """Set tags of a model."""
        super().set_logged_model_tags(model_id, [tag for tag in tags or () if "/" not in tag.key])
        self._write_with_slashes(model_id, "tags", tags)

    def _write_with_slashes(self, model_id: str, kind: str, pairs: Any) -> None:
        for pair in pairs or ():
            if "/" in pair.key:
                experiment_id = self.get_logged_model(model_id).experiment_id
                path = os.path.join(self._get_model_dir(experiment_id, model_id), kind, _file_name(pair.key))  # noqa: PTH118
                os.makedirs(os.path.dirname(path), exist_ok=True)  # noqa: PTH103, PTH120
                with open(path, "w", encoding="utf-8") as file:  # noqa: PTH123
                    file.write("" if pair.value is None else str(pair.value))

    def _get_resource_files(self, root_dir: str, subfolder_name: str) -> tuple[str, list[str]]:
        folder, names = super()._get_resource_files(root_dir, subfolder_name)
        return folder, [name.replace(f"{_FOLDER}/", "/") for name in names]


def _file_name(name: str) -> str:
    return name.replace("/", f"{_FOLDER}/")


def _stored(path: str, name: str) -> str:
    return path.removesuffix(name) + _file_name(name)


def _read_stored(function: str) -> None:
    """Have a function by which MLflow's store reads a name read it from where it is stored."""
    read = getattr(_file_store, function)

    def read_stored(parent: str, name: str) -> Any:
        there = _file_name(name)
        return read(parent, there if os.path.isfile(os.path.join(parent, there)) else name)  # noqa: PTH113, PTH118

    setattr(_file_store, function, read_stored)


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
    # Old clients refuse in files what today's server takes, which cuts off what is longer still.
    limits: Any = importlib.import_module("mlflow.utils.validation")
    if getattr(limits, "MAX_PARAM_VAL_LENGTH", _PARAM_LENGTH) < _PARAM_LENGTH:
        limits.MAX_PARAM_VAL_LENGTH = sys.maxsize
    return QuickFileStore(store_uri, store_uri)


_read_stored("read_file")
_read_stored("read_file_lines")
