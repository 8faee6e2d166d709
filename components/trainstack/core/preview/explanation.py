"""What an update would retrain and why, and which models and services follow: from a preview's document."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trainstack.abbreviation import abbreviated
from trainstack.core.compute.prices import Prices
from trainstack.core.preview.document import UNKNOWN, Preview, Resource, Step
from trainstack.core.preview.estimate import Estimate, estimate, finished, last_measured, last_run, trials_left
from trainstack.core.runs import change_lines, diff
from trainstack.core.runs.cost import money
from trainstack.core.runs.fields import COUNTED, SETTINGS

RETRAINS, MAY_RETRAIN, TRAINS, ADOPTS = "retrains", "may retrain", "trains for the first time", "adopts a finished run"
SEARCHES, SEARCHES_ON = "searches", "searches on"


@dataclass(frozen=True)
class RunChange:
    """What becomes of a training run, or of a sweep, which is many.

    Attributes:
        name: Its name.
        verdict: `retrains`, `may retrain`, `trains for the first time` or `adopts a finished run`; for a sweep
            `searches` or `searches on`.
        reasons: Why, a phrase a difference.
        adopted: The id of the finished run that is adopted.
        estimate: Time and money; nothing for an adopted one.
    """

    name: str
    verdict: str
    reasons: list[str]
    adopted: str | None
    estimate: Estimate

    @property
    def trains(self) -> bool:
        """Whether it takes time on nodes, or may."""
        return self.verdict != ADOPTS


@dataclass(frozen=True)
class DownstreamChange:
    """A model, service or other resource that changes too.

    Attributes:
        kind: `Model`, `WebService`, `Dataset`, …
        name: Its name.
        text: What becomes of it, in words.
    """

    kind: str
    name: str
    text: str


@dataclass(frozen=True)
class Explanation:
    """What an update would do.

    Attributes:
        stack: The stack's name.
        runs: Training runs that change.
        downstream: What else changes, in the engine's order.
        unchanged: How many resources stay as they are.
        currency: What costs are in.
        errors: Why there is no more to say: the preview failed.
    """

    stack: str
    runs: list[RunChange]
    downstream: list[DownstreamChange]
    unchanged: int
    currency: str
    errors: list[str]

    @property
    def training(self) -> list[RunChange]:
        """The runs that take time on nodes."""
        return [run for run in self.runs if run.trains]

    @property
    def seconds(self) -> float | None:
        """Seconds of all training, one after another; none when nothing of it was measured."""
        return _total([run.estimate.seconds for run in self.training])

    @property
    def cost(self) -> float | None:
        """What all training costs; none when no price or no time is known."""
        return _total([run.estimate.cost for run in self.training])

    @property
    def complete(self) -> bool:
        """Whether each training run's time and cost is known."""
        return all(run.estimate.cost is not None for run in self.training)


def explain(preview: Preview, root: Path) -> Explanation:
    """Say what a preview means.

    Args:
        preview: What `pulumi preview --json` said.
        root: The project's folder; workspaces in it tell what was measured, and what is finished already.

    Raises:
        InvalidInputError: The stack's own prices are not prices.
    """
    prices = Prices.from_config(preview.config)
    runs: list[RunChange] = []
    downstream: list[DownstreamChange] = []
    for step in preview.steps:
        if step.operation in ("same", "read", "refresh"):
            continue
        if (change := _run_change(step, prices, root)) is not None:
            runs.append(change)
        else:
            downstream.append(_downstream_change(step))
    return Explanation(preview.stack, runs, downstream, preview.unchanged, prices.currency, preview.errors)


def _run_change(step: Step, prices: Prices, root: Path) -> RunChange | None:
    """What becomes of a run; none where nothing of it trains or is taken in place of training."""
    new = step.new
    if step.resource.kind == "Sweep" and new is not None:
        return _sweep_change(step, new, prices, root)
    if step.resource.kind != "TrainingRun" or new is None or "source_directory" not in new.inputs:
        return None
    if step.operation not in ("create", "replace"):
        return None
    before = step.old.known if step.old else {}
    differences = diff.changes(diff.comparable(before, UNKNOWN), diff.comparable(new.inputs, UNKNOWN)) if before else {}
    moves = diff.moves(before, new.inputs, UNKNOWN)
    reasons = [line for lines in (*differences.values(), *moves.values()) for line in lines]
    adopted = finished(new.inputs, root)
    measured = before.get("duration")
    last = None if adopted else last_run(new.inputs, root)
    seconds = float(measured) if isinstance(measured, int | float) else last and last.duration
    if adopted is not None:
        verdict = ADOPTS
    elif not before:
        verdict, reasons = TRAINS, ["there is no such run in the stack yet"]
    else:
        maybe = reasons and all(reason.endswith("may change") for reason in reasons)
        verdict = MAY_RETRAIN if maybe else RETRAINS
    spent = "" if last is None or last.cost is None else money(last.cost, last.currency)
    estimated = estimate(new.inputs, 0.0 if adopted else seconds, prices, last_cost=spent)
    return RunChange(step.resource.name, verdict, reasons, adopted, estimated)


def _sweep_change(step: Step, new: Resource, prices: Prices, root: Path) -> RunChange | None:
    differing = [name for name in _differing(step) if name not in _PLACES]
    trials = trials_left(new.inputs, root)
    if not trials or (step.operation == "update" and not differing):
        return None
    before = step.old.known if step.old else {}
    differences = diff.changes(diff.comparable(before, UNKNOWN), diff.comparable(new.inputs, UNKNOWN)) if before else {}
    moves = diff.moves(before, new.inputs, UNKNOWN)
    reasons = [line for lines in (*differences.values(), *moves.values()) for line in lines]
    reasons += [f"{name} changed" for name in differing if name not in (*COUNTED, *moves)]
    estimated = estimate(new.inputs, last_measured(new.inputs, root), prices, trials)
    verdict = SEARCHES_ON if step.operation == "update" else SEARCHES
    return RunChange(new.name, verdict, reasons or ["there is no such sweep in the stack yet"], None, estimated)


def _downstream_change(step: Step) -> DownstreamChange:
    resource = step.resource
    describe = _WORDS.get(resource.kind)
    if step.operation == "delete":
        text = "leaves the stack; the workspace keeps what it made" if resource.kind != "WebService" else "is stopped"
    elif step.operation == "replace" and (moves := diff.moves(_before(step), step.resource.inputs, UNKNOWN)):
        text = f"moves along: {moves['workspace'][0]}"
    elif describe is not None:
        text = describe(step)
    else:
        text = {"create": "is created", "replace": "is replaced"}.get(step.operation, _changed(step))
    return DownstreamChange(resource.kind, resource.name, text)


def _workspace(step: Step) -> str:
    if step.operation == "replace" and "root" in _differing(step):
        before, after = _before(step).get("root"), step.resource.inputs.get("root")
        return f"is another one: {after} in place of {before}, which stays as it is"
    return "is created" if step.operation == "create" else _changed(step)


def _run(step: Step) -> str:
    if step.operation in ("create", "replace"):
        return "is adopted from the workspace: nothing trains"
    return f"stays as it is; its settings change ({_names(step)})" if _differing(step) else "is repaired in place"


def _model(step: Step) -> str:
    new, source = step.resource, _source(step.resource, "run_id")
    of = f" from run {source}" if source else ""
    labels = _pointers(new.inputs)
    if "promoted" in new.inputs:
        return f"{_promoted(step)}{labels}"
    if step.operation == "create":
        return f"is registered for the first time{of}{labels}"
    before = step.old.known.get("version") if step.old else None
    was = f" after version {int(before)}" if isinstance(before, int | float) else ""
    if new.inputs.get("run_id") == UNKNOWN or "run_id" in _differing(step):
        return f"gets a new version{was}{of}, unless its files are the same{labels}"
    if "contents" in _differing(step):
        files = change_lines.compare_mappings(
            step.old.known.get("files") if step.old else None, new.inputs.get("files"), "{name}", values=False
        )
        return f"gets a new version{was} ({abbreviated(files, separator='; ') or 'its files changed'}){labels}"
    return f"is described anew ({_names(step)}){labels}"


def _promoted(step: Step) -> str:
    promoted: Any = step.resource.inputs["promoted"]
    if not isinstance(promoted, Mapping):
        return "takes over what another stack makes: nothing trains here"
    version = f"{promoted.get('name')} version {promoted.get('version')}"  # pyright: ignore[reportUnknownMemberType]
    before = str((step.old.known.get("digest") if step.old else None) or "")
    after = str(promoted.get("digest", ""))  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType]
    bytes_of = f" ({before[:12]} → {after[:12]})" if before and before != after else ""
    return f"takes over {version} of another stack{bytes_of}: nothing trains here"


def _service(step: Step) -> str:
    inputs = step.resource.inputs
    name = inputs.get("model_name", "its model")
    if step.operation == "create":
        return f"starts to serve {name}{_pointers(inputs)}"
    differing = _differing(step)
    if {"model_version", "model_digest"} & set(differing):
        before = step.old.known.get("model_version") if step.old else None
        now = inputs.get("model_version")
        was = f"version {int(before)}" if isinstance(before, int | float) else "what it serves"
        to = f"version {int(now)}" if isinstance(now, int | float) else "the new version"
        rest = [input_name for input_name in differing if input_name not in ("model_version", "model_digest")]
        more = f"; also {', '.join(rest)}" if rest else ""
        return f"switches from {was} of {name} to {to}, if that differs{_pointers(inputs)}{more}"
    if differing:
        return f"keeps its model; its settings change ({_names(step)})"
    drift: list[str] = (step.old.known.get("drift") if step.old else None) or []
    return f"is repaired in place: {'; '.join(drift)}" if drift else "is down: starts again"


def _dataset(step: Step) -> str:
    if step.operation == "create":
        return "is registered"
    before = step.old.known.get("version") if step.old else None
    was = f" after version {int(before)}" if isinstance(before, int | float) else ""
    content = {"urls", "paths", "contents", "sha256", "magic"} & set(_differing(step))
    drift: list[str] = (step.old.known.get("drift") if step.old else None) or []
    if content or drift:
        why = "; ".join(drift) or ", ".join(sorted(content))
        return f"gets a new version{was}, unless its files are the same ({why})"
    return f"is described anew ({_names(step)})"


def _environment(step: Step) -> str:
    if step.operation == "create":
        return "is locked and built"
    before, after = (step.old.known if step.old else {}), step.resource.inputs
    old, new = before.get("packages"), after.get("packages")
    if isinstance(old, Mapping) and isinstance(new, Mapping) and (lines := change_lines.packages(old, new)):
        return f"changes: {abbreviated(lines)}"
    return _changed(step)


# Inputs that say where and how to run: another value trains nothing anew.
_PLACES = ("compute", "snapshot", "environment_spec", *SETTINGS)
_WORDS: dict[str, Callable[[Step], str]] = {
    "Workspace": _workspace,
    "TrainingRun": _run,
    "Model": _model,
    "WebService": _service,
    "Dataset": _dataset,
    "Environment": _environment,
}


def _before(step: Step) -> dict[str, Any]:
    return step.old.known if step.old else {}


def _changed(step: Step) -> str:
    return f"changes ({_names(step)})" if _differing(step) else "changes"


def _names(step: Step) -> str:
    return ", ".join(_differing(step))


def _differing(step: Step) -> list[str]:
    """Inputs that differ; those that only say where the row is are left out."""
    if step.old is None or step.new is None:
        return []
    old, new = step.old.inputs, step.new.inputs
    return [name for name in sorted(old.keys() | new.keys()) if name != "urn" and old.get(name) != new.get(name)]


def _pointers(inputs: Mapping[str, Any]) -> str:
    """The aliases and labels that follow the newest version."""
    names: list[str] = []
    for name in ("alias", "aliases", "labels"):
        versions = inputs.get(name)
        if isinstance(versions, Mapping):
            pairs = sorted(versions.items())  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
            names += [str(label) for label, version in pairs if version in ("latest", UNKNOWN)]  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    return f"; {' and '.join(names)} follow{'s' if len(names) == 1 else ''} it" if names else ""


def _source(resource: Resource, name: str) -> str | None:
    urns = resource.sources.get(name) or []
    return urns[0].rsplit("::", 1)[-1] if urns else None


def _total(values: list[float | None]) -> float | None:
    numbers = [value for value in values if value is not None]
    return sum(numbers) if numbers else None
