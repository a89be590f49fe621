"""What a duel shows."""

from __future__ import annotations

from enum import Enum

from poise.study.duels import Duel


class Payoff(Enum):
    """Whether a tree is worth what it costs, by the 95 % interval of its accuracy above a mix of flat arms that costs
    as much. `LIKELY` and `DOUBTFUL`: the interval says so, and the McNemar test after Holm does not."""

    PAYS = "pays"
    LIKELY = "pays by its interval alone, not after Holm"
    OPEN = "no difference shown"
    DOUBTFUL = "loses by its interval alone, not after Holm"
    LOSES = "loses"


def payoff(duel: Duel) -> Payoff:
    """The verdict of one duel. Tested is the difference to the nearest arm, so it must point the same way."""
    gap = duel.at_equal_cost
    if gap.low > 0:
        return Payoff.PAYS if duel.p_holm < 0.05 and duel.difference.mean > 0 else Payoff.LIKELY
    if gap.high < 0:
        return Payoff.LOSES if duel.p_holm < 0.05 and duel.difference.mean < 0 else Payoff.DOUBTFUL
    return Payoff.OPEN
