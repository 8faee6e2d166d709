"""An update's explanation as text for a terminal and as a comment for a pull request."""

from __future__ import annotations

from trainstack.cli import markdown as md
from trainstack.cli.format import took
from trainstack.cli.output import shown
from trainstack.core.preview.explanation import Explanation, Follower, RunChange

_NOUNS = {
    "WebService": "service",
    "Model": "model",
    "Dataset": "dataset",
    "Environment": "environment",
    "Compute": "compute",
    "Workspace": "workspace",
    "TrainingRun": "run",
}


def headline(found: Explanation) -> str:
    """The update in one line."""
    if found.errors:
        return "the preview failed"
    training, changing = len(found.training), len(found.runs) + len(found.followers)
    if not changing:
        return "nothing changes"
    if not training:
        return "nothing trains"
    sure = all(run.verdict != "may retrain" for run in found.training)
    training = sum(run.estimate.trials for run in found.training)
    head = f"{training} {'run' if training == 1 else 'runs'} {'train' if training > 1 else 'trains'}"
    head = head if sure else head.replace("train", "may train", 1)
    return ", ".join([head, *_sum(found)])


def text(found: Explanation) -> str:
    """The explanation for a terminal: a line a run, a line a follower."""
    lines = [f"{found.stack}: {headline(found)}" if found.stack else headline(found)]
    lines += [f"  error: {shown(error)}" for error in found.errors]
    for run in found.runs:
        lines.append(f"  run {run.name} {_verdict(run)}: {'; '.join(run.reasons) or 'no difference is left'}")
        if run.trains:
            lines.append(f"    {', '.join(_facts(run, found.currency))}")
    lines += [f"  {_noun(one)} {one.name} {one.text}" for one in found.followers]
    if found.unchanged and not found.errors:
        lines.append(f"  {_staying(found)}")
    return "\n".join(shown(line) for line in lines)


def markdown(found: Explanation) -> str:
    """The explanation as a comment; its first line lets a workflow find its own comment again."""
    lines = [f"<!-- trainstack plan {_plain(found.stack)} -->"]
    title = f"Trainstack, stack {md.code(found.stack)}" if found.stack else "Trainstack"
    lines += [f"### {title}: {headline(found)}", ""]
    if found.errors:
        lines += [f"- {md.words(error)}" for error in found.errors] + [""]
    if found.runs:
        columns = ("run", "what happens", "why", "last took", "on", "estimate")
        lines += [*md.table(columns, [_row(run, found.currency) for run in found.runs]), ""]
    if found.followers:
        lines.append("**What follows**")
        lines += [f"- {_noun(one)} {md.code(one.name)} {md.words(one.text)}" for one in found.followers] + [""]
    if found.training:
        lines += [_about(found), ""]
    if found.unchanged and not found.errors:
        lines.append(f"{_staying(found)}.")
    return md.limited(lines).rstrip()


def money(cost: float | None, currency: str) -> str:
    """A sum for people: `0.02 USD`, `under 0.01 USD`; a dash for none."""
    if cost is None:
        return "-"
    return f"under 0.01 {currency}" if 0 < cost < 0.01 else f"{cost:.2f} {currency}"


def _row(run: RunChange, currency: str) -> tuple[str, ...]:
    shown_reasons = run.reasons[:8] + ([f"and {len(run.reasons) - 8} more"] if len(run.reasons) > 8 else [])
    why = "<br>".join(md.code(reason) for reason in shown_reasons)
    if not run.trains:
        return (md.code(run.name), f"{run.verdict} ({md.code(run.adopted)}): nothing trains", why, "-", "-", "-")
    estimate = run.estimate
    last = took(estimate.last) if estimate.last is not None else "not measured yet"
    last = f"{estimate.trials} trials, one {last}" if estimate.trials > 1 else last
    low = ", low priority" if estimate.low else ""
    on = f"{estimate.nodes} x {md.code(estimate.size)}{low}"
    return (md.code(run.name), run.verdict, why, last, on, money(estimate.cost, currency))


def _about(found: Explanation) -> str:
    missing = [run.name for run in found.training if run.estimate.last is None]
    priced = [run for run in found.training if run.estimate.seconds is not None and run.estimate.cost is None]
    notes = ["Times are those of the last measured run of the same name; the sum takes one after another."]
    if missing:
        notes.append(f"Not measured yet, and not in the sum: {', '.join(md.code(name) for name in missing)}.")
    if priced:
        sizes = sorted({run.estimate.size for run in priced})
        named = ", ".join(md.code(size) for size in sizes)
        notes.append(f"No price is set for {named} (`trainstack:prices` in the stack's configuration).")
    return f"<sub>{' '.join(notes)}</sub>"


def _sum(found: Explanation) -> list[str]:
    parts: list[str] = []
    if found.seconds is not None:
        parts.append(f"about {took(found.seconds)}")
    if found.cost is not None:
        least = "" if found.complete else "at least "
        parts.append(f"{least}{money(found.cost, found.currency)}")
    return parts


def _verdict(run: RunChange) -> str:
    return run.verdict if run.trains else f"{run.verdict} ({run.adopted}), nothing trains"


def _facts(run: RunChange, currency: str) -> list[str]:
    estimate = run.estimate
    last = f"last took {took(estimate.last)}" if estimate.last is not None else "not measured yet"
    last = f"{estimate.trials} trials, one {last}" if estimate.trials > 1 else last
    low = " of low priority" if estimate.low else ""
    return [last, f"{estimate.nodes} x {estimate.size}{low}", money(estimate.cost, currency)]


def _staying(found: Explanation) -> str:
    return f"{found.unchanged} {'resource stays as it is' if found.unchanged == 1 else 'resources stay as they are'}"


def _noun(one: Follower) -> str:
    return _NOUNS.get(one.kind, one.kind)


def _plain(name: str) -> str:
    return "".join(letter for letter in name if letter.isalnum() or letter in "._/-").replace("--", "-")
