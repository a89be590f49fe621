"""A small frontier of letters for the terminal: people would rather look than read."""

from __future__ import annotations

import math
import string

from rich.text import Text

from poise.evals.rows import Summary
from poise.report import words
from poise.report.frontier import Axis, Point, main_axis, points, span

LETTERS = string.ascii_uppercase + string.ascii_lowercase


def letters(summary: Summary) -> dict[str, str]:
    """One letter per arm, in the order of the table."""
    return {arm.arm: LETTERS[index % len(LETTERS)] for index, arm in enumerate(summary.arms)}


def scatter(summary: Summary, width: int = 56, height: int = 12) -> Text | None:
    """Accuracy (up) against log cost (right), with the frontier's staircase dotted; frontier arms bold, dominated ones
    dim, `*` where arms fall together. None for fewer than two arms, or where costs are unknown."""
    line = points(summary, main_axis(summary))
    if len(line) < 2:
        return None
    left, right = span(line, 0.02)
    low = min(point.accuracy.mean for point in line)
    high = max(*(point.accuracy.mean for point in line), low + 0.01)

    def cell(point: Point) -> tuple[int, int]:
        column = (math.log10(point.cost.mean) - left) / (right - left) * (width - 1)
        return round((high - point.accuracy.mean) / (high - low) * (height - 1)), round(column)

    cells = _staircase([cell(point) for point in line if point.on_frontier], width)
    names = letters(summary)
    for point in line:
        spot = cell(point)
        taken = spot in cells and cells[spot][0] != "·"
        style = "bold green" if point.on_frontier or (taken and "bold" in cells[spot][1]) else "bright_black"
        cells[spot] = ("*" if taken else names[point.arm], style)
    plot = Text()
    for row in range(height):
        share = words.percent(high - (high - low) * row / (height - 1))
        plot.append(f"{share:>8} ┤" if row % 3 == 0 or row == height - 1 else f"{'':>8} │", "bright_black")
        for column in range(width):
            plot.append(*cells.get((row, column), (" ", "")))
        plot.append("\n")
    unit = "FLOP" if main_axis(summary) is Axis.FLOPS else "tokens"
    ends = words.si(10**left, unit), words.si(10**right, unit)
    between = width - len(ends[0]) - len(ends[1])
    return plot.append(f"{'':>8} └{'─' * width}\n{'':>10}{ends[0]}{'per question':^{between}}{ends[1]}", "bright_black")


def _staircase(corners: list[tuple[int, int]], width: int) -> dict[tuple[int, int], tuple[str, str]]:
    dots: dict[tuple[int, int], tuple[str, str]] = {}
    for (row, column), (above, following) in zip(corners, [*corners[1:], (corners[-1][0], width)], strict=True):
        steps = [(row, x) for x in range(column, following)] + [(y, following) for y in range(above, row)]
        dots |= dict.fromkeys(steps, ("·", "green"))
    return dots
