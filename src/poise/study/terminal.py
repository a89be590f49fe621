"""The study in the terminal: the best arm of each budget, and trees against flat arms."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from poise.report import words
from poise.study.analysis import Affords, Analysis, Bought
from poise.study.duels import Duel
from poise.study.markdown import amount, points, share
from poise.study.verdicts import Payoff, payoff

_STYLE = {Payoff.PAYS: "bold green", Payoff.LIKELY: "green", Payoff.DOUBTFUL: "red", Payoff.LOSES: "bold red"}


def show(analysis: Analysis, console: Console) -> None:
    """Print what a terminal should see of a study; study.md has the rest."""
    n = analysis.joint.arms[0].n
    flat = f"Flat arms alone, n = {analysis.flat.arms[0].n}"
    console.print(_affords(analysis.flat_affords, flat, analysis.unit, trees=False))
    console.print(_affords(analysis.affords, f"All arms, n = {n}", analysis.unit))
    if analysis.stops:
        console.print(_stops(analysis))
    console.print(_duels(analysis))
    console.print(_KEY, style="dim")


_KEY = (
    "Points of accuracy above a mix of flat arms of the same cost, with 95 % intervals; > the tree costs more (or "
    "less) than the whole family. Coloured: the interval excludes 0; bold: and McNemar's test agrees after Holm."
)


def _grid(title: str, *headings: str) -> Table:
    grid = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, title=title, title_justify="left", title_style="bold")
    for place, heading in enumerate(headings):
        grid.add_column(heading, justify="right" if place == 0 else "left", overflow="fold")
    return grid


def _affords(found: Sequence[Affords], title: str, unit: str, *, trees: bool = True) -> Table:
    grid = _grid(title, "budget", *(("best flat arm", "best tree") if trees else ("best arm",)))
    for each in found:
        sides = (each.flat, each.tree) if trees else (each.best,)
        cells = (_bought(bought, best=trees and bought == each.best) for bought in sides)
        grid.add_row(amount(each.budget, unit), *cells)
    return grid


def _bought(bought: Bought | None, *, best: bool) -> Text:
    return Text(f"{bought.arm}  {share(bought.accuracy)}" if bought else "-", style="bold" if best else "")


def _stops(analysis: Analysis) -> Table:
    title = f"Votes that stop by themselves, points above the hull of fixed votes, n = {analysis.stops[0].n}"
    grid = _grid(title, "arm", "cost", "above")
    for one in analysis.stops:
        style = "green" if one.above.low > 0 else "red" if one.above.high < 0 else ""
        grid.add_row(one.arm, amount(one.cost, analysis.unit), Text(points(one.above), style=style))
    return grid


def _duels(analysis: Analysis) -> Table:
    """Trees down, questions across: all that every arm answered, then hard to easy."""
    thirds = analysis.splits[0].thirds
    headings = (f"{third.name} {words.percent(third.high)}, n = {third.n}" for third in thirds)
    title = f"Trees against flat arms at equal cost, seed {analysis.seed}"
    grid = _grid(title, "tree", "against", f"all, n = {analysis.joint.arms[0].n}", *headings)
    for at, duel in enumerate(analysis.duels):
        same = (duel, *(third.duels[at] for third in thirds))
        grid.add_row(duel.tree, duel.family, *map(_gap, same))
    return grid


def _gap(duel: Duel) -> Text:
    verdict = payoff(duel)
    return Text(points(duel.at_equal_cost) + ("" if duel.inside else " >"), style=_STYLE.get(verdict, ""))
