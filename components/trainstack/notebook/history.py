"""What a notebook gets of a workspace: its runs and sweeps, read anew each time that they are asked for something.

```python
history = ts.History()
run = history.run("mnist-mlp")
run.metrics["accuracy"], run.download_files("outputs/model")
```
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, overload

from trainstack.abbreviation import counted
from trainstack.core.runs import artifacts, index
from trainstack.core.runs.directory import RunDirectory
from trainstack.core.sweeps import record as sweeps
from trainstack.core.sweeps.record import SweepDirectory, SweepRecord, Trial
from trainstack.core.workspace import config
from trainstack.core.workspace.workspace import Workspace
from trainstack.errors import TrainstackError
from trainstack.mlflow import metric_files as tracking
from trainstack.notebook import html


class Run:
    """A run of a workspace."""

    def __init__(self, directory: RunDirectory) -> None:
        """Use `History.run`."""
        self._directory = directory

    @property
    def id(self) -> str:
        """Its id."""
        return self._directory.id

    @property
    def name(self) -> str:
        """The name its author gave."""
        return self._directory.read().name

    @property
    def status(self) -> str:
        """Where it is: `running`, `completed` and so on."""
        return self._directory.read().status.value

    @property
    def path(self) -> Path:
        """Its folder."""
        return self._directory.root

    @property
    def parameters(self) -> dict[str, Any]:
        """The script's arguments, by name; a list of them without names is under `arguments`."""
        with contextlib.suppress(OSError, ValueError, TrainstackError):
            arguments = self._directory.request().spec.arguments
            return {"arguments": list(arguments)} if isinstance(arguments, list) else dict(arguments)
        return {}

    @property
    def metrics(self) -> dict[str, float]:
        """The last value of each metric that the script logged."""
        return tracking.last(self._directory.tracking)

    def points(self, metric: str) -> list[tuple[int, float]]:
        """All values of a metric, as step and value.

        Args:
            metric: Its name; empty when it was never logged.
        """
        return [(point.step, point.value) for point in tracking.read(self._directory.tracking).get(metric, [])]

    @property
    def logs(self) -> str:
        """Everything that all ranks have printed."""
        with contextlib.suppress(FileNotFoundError):
            return self._directory.merged_log.read_text(encoding="utf-8", errors="replace")
        return ""

    def download_files(
        self, prefix: str = "", output_directory: str | Path = ".", *, append_prefix: bool = True
    ) -> list[str]:
        """Copy its files below `prefix` (`outputs/model`, `logs`, …) into a folder.

        Args:
            prefix: The start of the files' paths.
            output_directory: Where to.
            append_prefix: Whether the copies keep the prefix's folders.

        Returns:
            The paths of the copies.

        Raises:
            NotFoundError: No file starts so.
        """
        return artifacts.download(self._directory.root, prefix, Path(output_directory), append_prefix=append_prefix)

    def __repr__(self) -> str:
        record = self._directory.read()
        return f"<run {record.name} ({record.id}) {record.status.value}>"

    def _repr_html_(self) -> str:
        series = {name: [point.value for point in points] for name, points in self._series().items()}
        return html.run(self._directory.read(), self.parameters, series)

    def _series(self) -> dict[str, list[tracking.Point]]:
        return tracking.read(self._directory.tracking)


class Runs(Sequence[Run]):
    """Runs of a workspace, newest first."""

    def __init__(self, runs: Sequence[Run]) -> None:
        """Use `History.runs`."""
        self._runs = runs

    @overload
    def __getitem__(self, index: int) -> Run: ...
    @overload
    def __getitem__(self, index: slice) -> Runs: ...
    def __getitem__(self, index: int | slice) -> Run | Runs:
        """The run at a place, or the runs at several."""
        return Runs(self._runs[index]) if isinstance(index, slice) else self._runs[index]

    def __len__(self) -> int:
        """How many there are."""
        return len(self._runs)

    def __iter__(self) -> Iterator[Run]:
        """One after the other."""
        return iter(self._runs)

    def __repr__(self) -> str:
        return f"<{counted(len(self), 'run')}>"

    def _repr_html_(self) -> str:
        return html.runs(self.rows())

    def rows(self) -> list[html.Row]:
        """Record, parameters and last metrics of each."""
        return [(RunDirectory(run.path).read(), run.parameters, run.metrics) for run in self]


class Sweep:
    """A sweep of a workspace."""

    def __init__(self, workspace: Workspace, directory: SweepDirectory) -> None:
        """Use `History.sweep`."""
        self._workspace = workspace
        self._directory = directory

    @property
    def id(self) -> str:
        """Its id."""
        return self._directory.id

    @property
    def record(self) -> SweepRecord:
        """Where it is, with all trials."""
        return self._directory.read()

    @property
    def trials(self) -> list[Trial]:
        """Its trials, by number."""
        return self.record.trials

    @property
    def best_run(self) -> Run | None:
        """The run of its best trial; none before a trial has completed."""
        best = self.record.best_trial
        return None if best is None else Run(RunDirectory(self._workspace.run(best.run_id)))

    def __repr__(self) -> str:
        record = self.record
        return f"<sweep {record.name} ({record.id}) {record.status}: {record.ended}/{record.total}>"

    def _repr_html_(self) -> str:
        with contextlib.suppress(FileNotFoundError):
            return html.sweep(self.record, self._directory.plot.read_bytes())
        return html.sweep(self.record)


class History:
    """The runs and sweeps of a workspace."""

    def __init__(self, folder: str | Path | None = None) -> None:
        """Open a workspace's history; no server is needed for it.

        Args:
            folder: The workspace's folder; else the one that `.trainstack/config.json` here or above names.

        Raises:
            NotFoundError: No such file is there.
            WorkspaceNotFoundError: There is none in the folder.
        """
        root = config.find(Path.cwd())[0] if folder is None else Path(folder)
        self._workspace = Workspace.open(root.expanduser().absolute())

    def runs(self, name: str | None = None, status: str | None = None, limit: int = 20) -> Runs:
        """The newest runs.

        Args:
            name: Only runs of this name.
            status: Only runs that are so: `completed`, `failed`, …
            limit: At most so many.
        """
        records = index.newest(self._workspace, [status] if status else [], name, limit)
        return Runs([Run(RunDirectory(self._workspace.run(record.id))) for record in records])

    def run(self, reference: str) -> Run:
        """A run by its id, the start of one, or its name (then the newest).

        Raises:
            NotFoundError: There is none.
            InvalidInputError: The start fits several.
        """
        return Run(index.resolve(self._workspace, reference))

    def sweep(self, reference: str) -> Sweep:
        """A sweep by its id, the start of one, or its name (then the newest).

        Raises:
            NotFoundError: There is none.
            InvalidInputError: The start fits several.
        """
        return Sweep(self._workspace, sweeps.resolve(self._workspace, reference))

    def sweeps(self) -> list[Sweep]:
        """All sweeps, newest first."""
        return [
            Sweep(self._workspace, SweepDirectory(self._workspace.sweep(record.id)))
            for record in sweeps.list_sweeps(self._workspace)
        ]

    def connect_mlflow(self) -> str:
        """Have MLflow's own client in this process use the workspace's server, which is started if it does not run.

        It sets `MLFLOW_TRACKING_URI`, and `MLFLOW_TRACKING_TOKEN` where the server is the embedded one.

        Returns:
            The server's address.

        Raises:
            TrainstackError: The server does not answer.
        """
        from trainstack.core.tracking import tracking_server

        tracking_server.ensure(self._workspace)
        os.environ.update(tracking_server.client_variables(self._workspace))
        return os.environ["MLFLOW_TRACKING_URI"]

    def __repr__(self) -> str:
        return f"<history of workspace {self._workspace.name}: {index.count(self._workspace)} runs>"

    def _repr_html_(self) -> str:
        return html.runs(self.runs().rows())
