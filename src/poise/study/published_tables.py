"""The replayed logs of the published study as tables: its configurations, their pairs, and what votes and stops buy."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from poise.study.published import Log, agreement, majority, paired, passed, stopped

FIGURES = Path(__file__).with_name("published.toml")
_STOPS = (2, 3)


@dataclass(frozen=True, slots=True)
class Figure:
    """One printed row of the paper: questions that it has right of `items`, TFLOPs as claimed and seconds, both a
    question."""

    name: str
    label: str
    items: int
    correct: int
    teraflops: float
    seconds: float


def figures() -> list[Figure]:
    """The paper's table."""
    told = tomllib.loads(FIGURES.read_text(encoding="utf-8"))
    items = told.pop("items")
    return [Figure(name, items=items, **row) for name, row in told.items()]


def show(logs: Sequence[Log], console: Console) -> None:
    """Print the replay beside what the paper printed."""
    console.print(_configurations(logs))
    console.print(_pairs(logs))
    for log in logs:
        items = list(log.items.values())
        if all(item.seconds for item in items):
            console.print(_votes(log))
            console.print(_agreement(log))
    console.print(_KEY, style="dim")


_KEY = (
    "Verdicts are the study's own. Majorities, pass@k and stops are means over all orders of the votes, ties broken at "
    "random. TFLOPs are as the study claimed them: without thoughts, prompts and the scorer."
)


def titled(title: str, *headings: str) -> Table:
    """A table under a title, its first column of words and the others of figures."""
    grid = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, title=title, title_justify="left", title_style="bold")
    for place, heading in enumerate(headings):
        grid.add_column(heading, justify="left" if place == 0 else "right")
    return grid


def _configurations(logs: Sequence[Log]) -> Table:
    headings = ("configuration", "correct", "published", "95 %", "oracle", "TFLOP", "published", "seconds", "published")
    grid, printed = titled("The configurations, from the logs", *headings), {row.name: row for row in figures()}
    for log in logs:
        told, (seconds, flops), row = log.accuracy(), log.means(), printed.get(log.name)
        n = len(log.items)
        grid.add_row(
            row.label if row else log.name,
            f"{round(told.mean * n)} of {n}",
            f"{row.correct} of {row.items}" if row else "-",
            f"{100 * told.mean:.1f} [{100 * told.low:.1f}, {100 * told.high:.1f}]",
            f"{log.oracle()}",
            f"{flops / 1e12:.2f}",
            f"{row.teraflops:.2f}" if row else "-",
            f"{seconds:.2f}",
            f"{row.seconds:.2f}" if row else "-",
        )
    return grid


def _pairs(logs: Sequence[Log]) -> Table:
    grid = titled("Pairs, by the study's verdicts", "one", "other", "only one", "only other", "McNemar p")
    for place, one in enumerate(logs):
        for other in logs[place + 1 :]:
            first, second, p = paired(one, other)
            grid.add_row(one.name, other.name, str(first), str(second), f"{p:.2g}" if p < 0.001 else f"{p:.3f}")
    return grid


def _votes(log: Log) -> Table:
    items = list(log.items.values())
    most = min(len(item.answers) for item in items)
    grid = titled(f"{log.name}: what votes buy", "votes", "majority %", "pass@k %", "seconds")
    each = log.means()[0] / most
    for k in range(1, most + 1):
        grid.add_row(str(k), f"{100 * majority(items, k):.1f}", f"{100 * passed(items, k):.1f}", f"{k * each:.0f}")
    for agreeing in _STOPS:
        accuracy, seconds = stopped(items, agreeing)
        grid.add_row(f"until {agreeing} agree", f"{100 * accuracy:.1f}", "-", f"{seconds:.0f}")
    return grid


def _agreement(log: Log) -> Table:
    grid = titled(f"{log.name}: agreement", "votes for the first", "right", "of")
    for top, (right, count) in agreement(list(log.items.values())).items():
        grid.add_row(str(top), str(right), str(count))
    return grid
