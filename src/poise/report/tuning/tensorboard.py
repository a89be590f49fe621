"""TensorBoard event files of an optimisation: curves over its steps, and its prompts as text."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from poise.errors import ConfigError
from poise.evals.stats import wilson
from poise.report import words
from poise.report.tuning import told
from poise.report.tuning.figures import stood
from poise.report.tuning.read import Step, Tuning
from poise.tune.shortlist import Source

if TYPE_CHECKING:
    from tensorboardX import SummaryWriter


def write_tensorboard(tuning: Tuning, folder: Path) -> Path:
    """Write into `folder`, over steps: the accuracy of the prompt at hand, what was spent, what was accepted, and
    slopes beside what edits gained; every prompt as text where it was accepted; and accuracy and tokens of those that
    were judged, at the step that made them. Older event files there are replaced. Raises ConfigError without
    tensorboardX."""
    try:
        from tensorboardX import SummaryWriter
    except ImportError:
        raise ConfigError("report", "tensorboardX is not installed", 'pip install "poise[report]"') from None
    for old in folder.glob("events.out.tfevents.*"):
        old.unlink()
    with SummaryWriter(str(folder)) as writer:
        writer.add_text("prompt", _code(tuning.initial), 0)
        for step in tuning.steps:
            _step(writer, step)
        for each in stood(tuning.steps):
            if each.accuracy and each.steps:
                writer.add_scalar("prompt/accuracy_all_races", each.accuracy.mean, each.steps[-1].number + 1)
        _judged(writer, tuning)
        writer.add_text("outcome", "\n\n".join(_outcome(tuning)), len(tuning.steps))
    return folder


def _step(writer: SummaryWriter, step: Step) -> None:
    """At the number of steps that are then taken."""
    at, won = step.number + 1, step.accepted
    curves = {
        "spent/calls": step.spent.calls,
        "spent/tokens": step.spent.tokens,
        "spent/seconds": step.spent.seconds,
        "step/accepted": float(step.prompt != step.before),
        "step/tried": len(step.tried),
        "step/failed": step.failed,
    }
    if step.rows:
        curves["prompt/accuracy"] = step.right / step.rows
    slopes = [each.slope for each in step.tried if each.slope is not None]
    if slopes:
        curves["slope/steepest"] = min(slopes)
    if won:
        curves["accepted/gain"], curves["accepted/sure"] = won.standing.gain, won.standing.sure
        curves |= {"accepted/slope": won.slope} if won.slope is not None else {}
    for source in Source:
        gains = [each.standing.gain for each in step.edits if each.source is source and each.standing.rows]
        if gains:
            curves[f"gain/{source.value}"] = sum(gains) / len(gains)
    for name, value in curves.items():
        writer.add_scalar(name, float(value), at)
    if step.prompt != step.before:
        about = f"{won.source.value}, {told.standing(won)}" if won else "accepted"
        writer.add_text("prompt", f"{about}\n\n{_code(step.prompt)}", at)


def _judged(writer: SummaryWriter, tuning: Tuning) -> None:
    made = {tuning.initial: 0} | {step.prompt: step.number + 1 for step in reversed(tuning.accepted)}
    for one in tuning.measured:
        at = made.get(one.name, len(tuning.steps))
        share = wilson(sum(one.right), len(one.right))
        for name, value in (
            ("judged/accuracy", share.mean), ("judged/accuracy_low", share.low), ("judged/accuracy_high", share.high),
            ("judged/new_tokens", one.cost), ("judged/seconds_p95", one.latency),
        ):  # fmt: skip
            writer.add_scalar(name, value, at)


def _outcome(tuning: Tuning) -> list[str]:
    return [each.sentence for each in (*told.ended(tuning), *told.control(tuning))]


def _code(prompt: str) -> str:
    """A code block in Markdown: nothing in a prompt is read as markup."""
    return "\n".join(f"    {line}" for line in words.clean(prompt).splitlines())
