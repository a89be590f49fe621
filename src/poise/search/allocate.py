"""How many children each node of a search gets: pure arithmetic over process scores in [0, 1]."""

from __future__ import annotations

import heapq
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


def softmax(values: Sequence[float], temperature: float) -> NDArray[np.float64]:
    """exp(v / T), normalised, in float64, with the largest subtracted first; T -> 0 is all for the largest."""
    scaled = np.asarray(values, dtype=np.float64) / max(temperature, 1e-12)
    weights = np.exp(scaled - scaled.max())
    return np.asarray(weights / weights.sum())


def apportioned(
    weights: Sequence[float] | NDArray[np.float64], units: int, ties: Sequence[float] | None = None
) -> list[int]:
    """Whole shares of `units` in proportion to weights (sum above 0), by largest remainder; their sum is `units`. Ties
    go to the larger of `ties` (the weights), then to the first."""
    array = np.asarray(weights, dtype=np.float64)
    ranks = array if ties is None else ties
    quotas = array / array.sum() * units
    shares = np.floor(quotas).astype(int)
    left = units - int(shares.sum())
    order = sorted(range(len(shares)), key=lambda at: (shares[at] - quotas[at], -ranks[at], at))
    for at in order[:left]:
        shares[at] += 1
    return [int(share) for share in shares]


def balanced(scores: Sequence[float], units: int, temperature: float) -> list[int]:
    """REBASE (Wu et al. 2024, arXiv 2408.00724, section 3.1.2): shares proportional to exp(R / T_b). (The authors' code
    rounds up one after the other, which misses the sum in 5.8 % of float32 cases.)"""
    return apportioned(softmax(scores, temperature), units, scores) if scores else []


def priced(scores: Sequence[float], prices: Sequence[float], budget: float, temperature: float) -> list[int]:
    """REBASE over children of different prices: node j gets exp(R_j / T) of the budget and as many children as that
    buys at its price, fractions by largest remainder as long as what is left buys one. Never more than the budget;
    where all prices are 1, this is `balanced`."""
    if not scores:
        return []
    quotas = softmax(scores, temperature) * budget / np.asarray(prices, np.float64)
    shares = [int(share) for share in np.floor(quotas + 1e-9)]
    left = budget - math.fsum(share * price for share, price in zip(shares, prices, strict=True))
    order = sorted(range(len(scores)), key=lambda at: (shares[at] - quotas[at], -scores[at], at))
    while affordable := [at for at in order if prices[at] <= left + 1e-9]:
        for at in affordable:
            if prices[at] <= left + 1e-9:
                shares[at] += 1
                left -= prices[at]
    return shares


def uncertain(scores: Sequence[float], units: int, kappa: float, costs: Sequence[float] | None = None) -> list[int]:
    """Shares by what one more child is worth: P(right) of node j is taken to be Beta(a, b) with a = kappa R, b = kappa
    (1 - R), so W children all fail with a chance that falls by ln((a + b + W) / (b + W)) with the next one; units go,
    one by one, to the largest fall for its cost. Few children flow to sure nodes, more to promising and unsure ones."""
    price = costs or [1.0] * len(scores)
    floor = 1e-3 * kappa

    def gain(at: int, children: int) -> float:
        b = kappa * (1 - scores[at]) + floor
        return math.log((kappa + 2 * floor + children) / (b + children)) / price[at]

    shares = [0] * len(scores)
    queue = [(-gain(at, 0), at) for at in range(len(scores))]
    heapq.heapify(queue)
    for _ in range(units if queue else 0):
        _, at = heapq.heappop(queue)
        shares[at] += 1
        heapq.heappush(queue, (-gain(at, shares[at]), at))
    return shares


def unique(
    scores: Sequence[float], texts: Sequence[str], units: int, temperature: float, sharpness: float
) -> list[int]:
    """DORA (Wang et al. 2025, arXiv 2506.15707): the softmax of the scores, times how unlike the others a node is: its
    own share in a softmax (temperature `sharpness`) over similarities. Similarity is the cosine of word counts, where
    the paper has an embedding model's."""
    if not scores:
        return []
    likeness = similarities(texts) / max(sharpness, 1e-12)
    own = np.exp(np.diag(likeness) - likeness.max(axis=1))
    alone = own / np.exp(likeness - likeness.max(axis=1, keepdims=True)).sum(axis=1)
    return apportioned(softmax(scores, temperature) * alone, units)


def similarities(texts: Sequence[str]) -> NDArray[np.float64]:
    """Cosine of word counts, [n, n]; texts without words are like each other alone."""
    counts = [Counter(text.lower().split()) for text in texts]
    words = {word: column for column, word in enumerate(sorted(set().union(*counts)))}
    table = np.zeros((len(texts), len(words) + 1))
    for row, count in enumerate(counts):
        for word, number in count.items():
            table[row, words[word]] = number
        table[row, -1] = not count
    unit = table / np.linalg.norm(table, axis=1, keepdims=True)
    return np.asarray(unit @ unit.T)


def width_for(chance: float, sure: float, most: int) -> int:
    """Draws until one is right with probability `sure`, where each is with `chance`: ceil(ln(1 - q) / ln(1 - p)), 1 to
    `most` (instance-adaptive width)."""
    if chance >= sure:
        return 1
    if chance <= 0:
        return most
    return min(most, max(1, math.ceil(math.log1p(-sure) / math.log1p(-chance))))


def kept(scores: Sequence[float], units: int, each: int) -> list[int]:
    """Beams: `each` children for the best nodes in turn, until the units are gone; nodes too few for them share what is
    left evenly, the best first."""
    shares, left = [0] * len(scores), units
    order = sorted(range(len(scores)), key=lambda at: (-scores[at], at))
    while left and order:
        for at in order:
            given = min(each, left)
            shares[at] += given
            left -= given
    return shares


@dataclass(slots=True)
class _Depth:
    """`out`: nodes of this depth still to come; `left`: children still to be handed out if all of those turn out to be
    unfinished; `given`: those handed out. `weight` and `seen`: the sum of exp(score / T), and over how many nodes."""

    out: int
    left: int
    given: int = 0
    weight: float = 0.0
    seen: int = 0


class Rations:
    """Children handed out node by node as nodes arrive, for a REBASE that waits for nobody. Where all nodes of a depth
    are unfinished, the sum is REBASE's; no depth has more children than `width`."""

    def __init__(self, width: int, temperature: float) -> None:
        self._depths, self._temperature = [_Depth(width, width)], temperature

    def take(self, depth: int, score: float) -> int:
        """An unfinished node arrived: its share of the children left, the nodes still out taken to weigh what those so
        far did. The last one takes all that is left."""
        at = self._at(depth)
        weight = math.exp(max((score - 1.0) / self._temperature, -700.0))
        at.weight, at.seen, at.out = at.weight + weight, at.seen + 1, at.out - 1
        share = at.left
        if at.out > 0:
            share = min(share, round(at.left * weight / (weight + at.out * at.weight / at.seen)))
        at.left, at.given = at.left - share, at.given + share
        return share

    def leave(self, depth: int, count: int = 1) -> None:
        """Nodes of a depth are leaves, or will never come: as many children less, here and below."""
        if depth >= len(self._depths):
            return
        at = self._depths[depth]
        at.out -= count
        lost = min(count, at.left) if at.out > 0 else at.left
        at.left -= lost
        if lost:
            self.leave(depth + 1, lost)

    def _at(self, depth: int) -> _Depth:
        while len(self._depths) <= depth:
            above = self._depths[-1]
            self._depths.append(_Depth(above.given + above.left, above.given + above.left))
        return self._depths[depth]
