"""Format an explanation of an update as text for a terminal and as a comment for a pull request."""

from __future__ import annotations

from trainstack.cli import markdown as md
from trainstack.cli.format import took
from trainstack.cli.output import printable
from trainstack.core.preview.explanation import DownstreamChange, Explanation, RunChange
from trainstack.core.runs.cost import money as amount

_NONE = "not measured yet"
_NOUNS = {
    "WebService": "service",
    "Model": "model",
    "Dataset": "dataset",
    "Environment": "environment",
    "Compute": "compute",
    "Workspace": "workspace",
    "TrainingRun": "run",
}


def headline(explanation: Explanation) -> str:
    """The update in one line."""
    if explanation.errors:
        return "the preview failed"
    training, changing = len(explanation.training), len(explanation.runs) + len(explanation.downstream)
    if not changing:
        return "nothing changes"
    if not training:
        return "nothing trains"
    sure = all(run.verdict != "may retrain" for run in explanation.training)
    training = sum(run.estimate.trials for run in explanation.training)
    head = f"{training} {'run' if training == 1 else 'runs'} {'train' if training > 1 else 'trains'}"
    head = head if sure else head.replace("train", "may train", 1)
    return ", ".join([head, *_totals(explanation)])


def text(explanation: Explanation) -> str:
    """The explanation for a terminal: a line a run, a line a change."""
    lines = [f"{explanation.stack}: {headline(explanation)}" if explanation.stack else headline(explanation)]
    lines += [f"  error: {printable(error)}" for error in explanation.errors]
    for run in explanation.runs:
        lines.append(f"  run {run.name} {_verdict(run)}: {'; '.join(run.reasons) or 'no difference is left'}")
        if run.trains:
            lines.append(f"    {', '.join(_facts(run, explanation.currency))}")
    lines += [f"  {_noun(change)} {change.name} {change.text}" for change in explanation.downstream]
    if explanation.unchanged and not explanation.errors:
        lines.append(f"  {_unchanged_text(explanation)}")
    return "\n".join(printable(line) for line in lines)


def markdown(explanation: Explanation) -> str:
    """The explanation as a comment; its first line lets a workflow find its own comment again."""
    lines = [f"<!-- trainstack plan {_safe_marker(explanation.stack)} -->"]
    title = f"Trainstack, stack {md.code(explanation.stack)}" if explanation.stack else "Trainstack"
    lines += [f"### {title}: {headline(explanation)}", ""]
    if explanation.errors:
        lines += [f"- {md.words(error)}" for error in explanation.errors] + [""]
    if explanation.runs:
        columns = ("run", "what happens", "why", "last took", "on", "estimate")
        lines += [*md.table(columns, [_row(run, explanation.currency) for run in explanation.runs]), ""]
    if explanation.downstream:
        lines.append("**What follows**")
        lines += [
            f"- {_noun(change)} {md.code(change.name)} {md.words(change.text)}" for change in explanation.downstream
        ] + [""]
    if explanation.training:
        lines += [_footnotes(explanation), ""]
    if explanation.unchanged and not explanation.errors:
        lines.append(f"{_unchanged_text(explanation)}.")
    return md.limited(lines).rstrip()


def money(cost: float | None, currency: str) -> str:
    """A sum for people: `0.02 USD`, `under 0.01 USD`; a dash for none."""
    return "-" if cost is None else amount(cost, currency)


def _row(run: RunChange, currency: str) -> tuple[str, ...]:
    shown_reasons = run.reasons[:8] + ([f"and {len(run.reasons) - 8} more"] if len(run.reasons) > 8 else [])
    why = "<br>".join(md.code(reason) for reason in shown_reasons)
    if not run.trains:
        return (md.code(run.name), f"{run.verdict} ({md.code(run.adopted)}): nothing trains", why, "-", "-", "-")
    estimate = run.estimate
    last = ", ".join(filter(None, [took(estimate.last), estimate.last_cost])) if estimate.last is not None else _NONE
    last = f"{estimate.trials} trials, one {last}" if estimate.trials > 1 else last
    low = ", low priority" if estimate.low else ""
    on = f"{estimate.nodes} x {md.code(estimate.size)}{low}"
    return (md.code(run.name), run.verdict, why, last, on, money(estimate.cost, currency))


def _footnotes(explanation: Explanation) -> str:
    missing = [run.name for run in explanation.training if run.estimate.last is None]
    priced = [run for run in explanation.training if run.estimate.seconds is not None and run.estimate.cost is None]
    notes = ["Times are those of the last measured run of the same name; the sum takes one after another."]
    if missing:
        notes.append(f"Not measured yet, and not in the sum: {', '.join(md.code(name) for name in missing)}.")
    if priced:
        sizes = sorted({run.estimate.size for run in priced})
        size_names = ", ".join(md.code(size) for size in sizes)
        notes.append(f"No price is set for {size_names} (`trainstack:prices` in the stack's configuration).")
    return f"<sub>{' '.join(notes)}</sub>"


def _totals(explanation: Explanation) -> list[str]:
    parts: list[str] = []
    if explanation.seconds is not None:
        parts.append(f"about {took(explanation.seconds)}")
    if explanation.cost is not None:
        least = "" if explanation.complete else "at least "
        parts.append(f"{least}{money(explanation.cost, explanation.currency)}")
    return parts


def _verdict(run: RunChange) -> str:
    return run.verdict if run.trains else f"{run.verdict} ({run.adopted}), nothing trains"


def _facts(run: RunChange, currency: str) -> list[str]:
    estimate = run.estimate
    spent = f" and cost {estimate.last_cost}" if estimate.last_cost else ""
    last = f"last took {took(estimate.last)}{spent}" if estimate.last is not None else _NONE
    last = f"{estimate.trials} trials, one {last}" if estimate.trials > 1 else last
    low = " of low priority" if estimate.low else ""
    price = [] if estimate.cost is None else [money(estimate.cost, currency)]
    return [last, f"{estimate.nodes} x {estimate.size}{low}", *price]


def _unchanged_text(explanation: Explanation) -> str:
    count = explanation.unchanged
    return f"{count} {'resource stays as it is' if count == 1 else 'resources stay as they are'}"


def _noun(change: DownstreamChange) -> str:
    return _NOUNS.get(change.kind, change.kind)


def _safe_marker(name: str) -> str:
    return "".join(letter for letter in name if letter.isalnum() or letter in "._/-").replace("--", "-")
