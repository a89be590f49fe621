"""One colour, mark and dash per arm, the same in every picture. Okabe and Ito's colours: told apart with any eyes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from poise.report.words import cut

_LONGEST = 44
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7A6A53")
_MARKS = (("circle", "o"), ("square", "s"), ("diamond", "D"), ("triangle-up", "^"), ("cross", "P"))
_DASHES = ("solid", "dash", "dot", "dashdot", "longdash")


@dataclass(frozen=True, slots=True)
class Look:
    """How one arm is drawn: the mark in the words of plotly and of matplotlib. `label` is short and no other arm's."""

    label: str
    colour: str
    symbol: str
    marker: str
    dash: str


def looks(arms: Iterable[str]) -> dict[str, Look]:
    """A look for every arm, in order; colours repeat after seven arms, then with another mark and dash."""
    found: dict[str, Look] = {}
    taken: Counter[str] = Counter()
    for index, arm in enumerate(arms):
        label = cut(arm, _LONGEST)
        taken[label] += 1
        label += f" ({taken[label]})" if taken[label] > 1 else ""
        turn = index // len(_COLOURS)
        symbol, marker = _MARKS[turn % len(_MARKS)]
        found[arm] = Look(label, _COLOURS[index % len(_COLOURS)], symbol, marker, _DASHES[turn % len(_DASHES)])
    return found
