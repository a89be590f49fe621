"""A small frontier of letters for the terminal: people would rather look than read."""

from __future__ import annotations

import math
import string

from rich.text import Text

from poise.evals.rows import Summary
from poise.report import words
from poise.report.frontier import main_axis, points, span

LETTERS = string.ascii_uppercase + string.ascii_lowercase


def letters(summary: Summary) -> dict[str, str]:
    """One letter per arm, in the order of the table."""
    return {arm.arm: LETTERS[index % len(LETTERS)] for index, arm in enumerate(summary.arms)}


def scatter(summary: Summary, width: int = 56, height: int = 12) -> Text | None:
    """Accuracy (up) against log cost (right); frontier arms bold, dominated ones dim, `*` where arms fall together. None
    for fewer than two arms, or where costs are unknown."""
    line = points(summary, main_axis(summary))
    if len(line) < 2:
        return None
    names = letters(summary)
    left, right = span(line, 0.02)
    low = min(point.accuracy.mean for point in line)
    high = max(max(point.accuracy.mean for point in line), low + 0.01)
    cells: dict[tuple[int, int], tuple[str, bool]] = {}
    for point in line:
        column = round((math.log10(point.cost.mean) - left) / (right - left) * (width - 1))
        row = round((high - point.accuracy.mean) / (high - low) * (height - 1))
        taken = cells.get((row, column))
        cells[row, column] = ("*" if taken else names[point.arm], point.on_frontier or bool(taken and taken[1]))
    plot = Text()
    for row in range(height):
        share = high - (high - low) * row / (height - 1)
        plot.append(
            f"{words.percent(share):>7} ┤" if row % 3 == 0 or row == height - 1 else f"{'':>7} │", "bright_black"
        )
        for column in range(width):
            mark, best = cells.get((row, column), (" ", False))
            plot.append(mark, "bold green" if best else "bright_black")
        plot.append("\n")
    unit = "FLOP" if main_axis(summary).name == "FLOPS" else "tokens"
    ends = words.si(10**left, unit), words.si(10**right, unit)
    plot.append(f"{'':>7} └{'─' * width}\n{'':>9}{ends[0]}{ends[1]:>{width - len(ends[0])}}", "bright_black")
    return plot
