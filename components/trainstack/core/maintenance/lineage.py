"""Where a dataset's version comes from, and what came of it, told from the records of a workspace."""

from __future__ import annotations

import re
from dataclasses import dataclass

from trainstack.core.datasets.dataset_record import DatasetRecord
from trainstack.core.maintenance import references
from trainstack.core.models.model_record import ModelRecord
from trainstack.core.runs.request import RunRequest
from trainstack.core.workspace.workspace import Workspace

_OUTPUT = re.compile(r"/runs/([0-9a-f]{16})(?:/|$)")


@dataclass(frozen=True)
class Relative:
    """Something that a version comes from, or that came of it.

    Attributes:
        kind: `address`, `path`, `dataset`, `run` or `model`.
        name: Its name; of an address or path itself.
        id: A run's id, or `NAME:VERSION` of a dataset or model; empty for an address or path.
        depth: How many steps away it is, from 1.
    """

    kind: str
    name: str
    id: str = ""
    depth: int = 1


class Lineage:
    """The records of a workspace, read once."""

    def __init__(self, workspace: Workspace) -> None:
        """Read them; a damaged record tells nothing."""
        self._datasets = [record for _, record in references.datasets(workspace) if isinstance(record, DatasetRecord)]
        self._runs = {
            path.parent.name: request
            for path, request in references.requests(workspace)
            if isinstance(request, RunRequest)
        }
        self._models = [record for _, record in references.models(workspace) if isinstance(record, ModelRecord)]

    def sources(self, record: DatasetRecord, depth: int = 1) -> list[Relative]:
        """Return what a version comes from, the nearest first below each: addresses, paths, runs and their data."""
        relatives: list[Relative] = []
        if record.appended_to is not None:
            relatives.append(Relative("dataset", record.name, f"{record.name}:{record.appended_to}", depth))
        addresses = [mirrors[0] for mirrors in record.urls.values()]
        addresses += record.objects.sources if record.objects else ()
        relatives += [Relative("address", address, depth=depth) for address in addresses]
        for path in record.paths:
            run = self._run_of(path)
            if run is None:
                relatives.append(Relative("path", path, depth=depth))
                continue
            relatives.append(Relative("run", self._runs[run].name, run, depth))
            for used in self._datasets_of(run):
                relatives.append(Relative("dataset", used.name, f"{used.name}:{used.version}", depth + 1))
                # A run's data was there before the run, so that this ends.
                relatives += self.sources(used, depth + 2)
        return relatives

    def results(self, record: DatasetRecord) -> list[Relative]:
        """Return what came of a version: runs that were given its content, their models, and data that they left."""
        return self._results(record, 1, set())

    def _results(self, record: DatasetRecord, depth: int, seen: set[str]) -> list[Relative]:
        relatives: list[Relative] = []
        for run, request in self._runs.items():
            if record.digest not in request.spec.datasets.values() or run in seen:
                continue
            seen.add(run)
            relatives.append(Relative("run", request.name, run, depth))
            relatives += [
                Relative("model", model.name, f"{model.name}:{model.version}", depth + 1)
                for model in self._models
                if model.run_id == run
            ]
            for left in self._datasets:
                if any(self._run_of(path) == run for path in left.paths):
                    relatives.append(Relative("dataset", left.name, f"{left.name}:{left.version}", depth + 1))
                    relatives += self._results(left, depth + 2, seen)
        return relatives

    def _run_of(self, path: str) -> str | None:
        match = _OUTPUT.search(path)
        return match[1] if match and match[1] in self._runs else None

    def _datasets_of(self, run: str) -> list[DatasetRecord]:
        used = {(each.name, each.version) for each in self._runs[run].datasets.values()}
        return [record for record in self._datasets if (record.name, record.version) in used]
