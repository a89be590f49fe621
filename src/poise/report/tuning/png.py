"""The front of an optimisation as a PNG, for a README or a slide."""

from __future__ import annotations

from pathlib import Path

from poise.report.frontier import Axis
from poise.report.png import draw
from poise.report.tuning.figures import points, prompts
from poise.report.tuning.read import Tuning


def write_png(tuning: Tuning, out: Path) -> list[Path]:
    """Draw the judged prompts; nothing where none has a cost. ConfigError: matplotlib is missing."""
    judged = tuning.judged()
    line = points(judged)
    return [draw(tuning, line, Axis.TOKENS, prompts(judged, tuning.initial), out)] if line else []
