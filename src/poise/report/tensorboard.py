"""TensorBoard event files: running curves and histograms, one folder per arm."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from rich.console import Console

from poise.errors import ConfigError
from poise.evals.rows import ArmSummary, Row
from poise.report.read import Reading
from poise.report.table import render

if TYPE_CHECKING:
    from tensorboardX import SummaryWriter

_NOT_IN_NAMES = r"[^\w.=,-]+"
_MOST_STEPS = 1000  # points of a running curve


def write_tensorboard(reading: Reading, folder: Path) -> Path:
    """Write `folder`/<arm> for every arm: running accuracy, new tokens and seconds over the questions seen, histograms
    of tokens and seconds, the final figures as hyper-parameter metrics, and the table as text. Older event files of
    these arms are replaced. Raises ConfigError without tensorboardX."""
    try:
        from tensorboardX import SummaryWriter
    except ImportError:
        raise ConfigError("report", "tensorboardX is not installed", 'pip install "poise[report]"') from None
    rows = reading.by_arm()
    for index, arm in enumerate(reading.summary.arms):
        place = folder / f"{index:02d}_{re.sub(_NOT_IN_NAMES, '_', arm.arm)[:80]}"
        for old in place.glob("events.out.tfevents.*"):
            old.unlink()
        with SummaryWriter(str(place)) as writer:
            _curves(writer, rows[arm.arm])
            _final(writer, arm)
            if index == 0:
                writer.add_text("benchmark", _as_text(reading))
    return folder


def _curves(writer: SummaryWriter, rows: Sequence[Row]) -> None:
    seen = np.arange(1, len(rows) + 1)
    tokens = np.array([row.usage.total_tokens - row.usage.prompt_tokens for row in rows], dtype=float)
    seconds = np.array([row.usage.seconds for row in rows])
    running = {
        "running/accuracy": np.cumsum([row.correct for row in rows]) / seen,
        "running/new_tokens_per_question": np.cumsum(tokens) / seen,
        "running/seconds_per_question": np.cumsum(seconds) / seen,
    }
    for step in np.unique(np.linspace(1, len(rows), min(len(rows), _MOST_STEPS)).round().astype(int)):
        for name, curve in running.items():
            writer.add_scalar(name, float(curve[step - 1]), int(step), walltime=rows[step - 1].wall or None)
    writer.add_histogram("new_tokens", tokens, len(rows))
    writer.add_histogram("seconds", seconds, len(rows))


def _final(writer: SummaryWriter, arm: ArmSummary) -> None:
    from tensorboardX.summary import hparams

    figures = {
        "final/accuracy": arm.accuracy.mean,
        "final/completion": arm.completion.mean,
        "final/new_tokens": arm.new_tokens.mean,
        "final/flops": arm.flops.mean,
        "final/seconds_p50": arm.seconds.p50,
        "final/seconds_p95": arm.seconds.p95,
        "final/busy_seconds": arm.busy_seconds,
        "final/hull_gap": arm.hull_gap,
    }
    for part in hparams({"arm": arm.arm}, figures):  # not add_hparams: it writes a second file of the same name
        writer.file_writer.add_summary(part)
    for name, figure in figures.items():
        writer.add_scalar(name, figure, arm.n)


def _as_text(reading: Reading) -> str:
    console = Console(width=200, record=True, file=None, color_system=None)
    with console.capture() as captured:
        console.print(render(reading.summary))
    return "\n".join(f"    {line}" for line in captured.get().splitlines())  # four spaces: a code block in Markdown
