"""Whether the gradient's picks won more often than picks at random: both are raced in the same steps, on the same
questions under the same dice, so that what differs is the choice alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from poise.evals.rows import Interval
from poise.evals.stats import bootstrap, resample, sign_flip, spearman, wilson
from poise.report.tuning.read import Step, Tried
from poise.tune.shortlist import Source

_FEWEST_SLOPES = 8


@dataclass(frozen=True, slots=True)
class Tally:
    """All edits of one source. `ahead`: those that had won more rows than they lost when their race ended; `accepted`:
    those that became the prompt; `gain`: their accuracy above the incumbent's, mean over edits (95 %, bootstrap over
    steps; None of a single step, which has no spread)."""

    source: Source
    tried: int
    ahead: int
    accepted: int
    wins: int
    losses: int
    gain: Interval | None

    @property
    def ahead_share(self) -> Interval:
        """Of those tried, with a Wilson interval."""
        return wilson(self.ahead, self.tried)

    @property
    def accepted_share(self) -> Interval:
        """The same of those accepted."""
        return wilson(self.accepted, self.tried)


@dataclass(frozen=True, slots=True)
class Contest:
    """One source against another over the `steps` that raced both. `won`: by the first, of so many `decided` steps that
    one of the two won; `chance`: what it would win were each of their edits as likely to be the winner; `won_p`: of no
    difference, exact. `difference`: of their mean gains in a step (95 %, bootstrap over steps); `difference_p`: the
    same, signs of whole steps flipped."""

    first: Source
    second: Source
    steps: int
    won: int
    decided: int
    chance: float
    won_p: float
    difference: Interval
    difference_p: float


def tallies(steps: Sequence[Step]) -> list[Tally]:
    """One of each source that was tried, in the order of sources."""
    found = []
    for source in Source:
        edits = [(step, each) for step in steps for each in step.edits if each.source is source]
        if not edits:
            continue
        columns = np.array([[each.standing.gain, 1] for _, each in edits], float)
        numbers = [step.number for step, _ in edits]
        gain = resample(columns, numbers).ratio(0, 1) if len(set(numbers)) > 1 else None
        ahead = sum(each.standing.wins > each.standing.losses for _, each in edits)
        accepted = sum(step.accepted is each for step, each in edits)
        wins, losses = (sum(getattr(each.standing, name) for _, each in edits) for name in ("wins", "losses"))
        found.append(Tally(source, len(edits), ahead, accepted, wins, losses, gain))
    return found


def contest(steps: Sequence[Step], first: Source = Source.GRADIENT, second: Source = Source.RANDOM) -> Contest | None:
    """One source against the other; None where no step raced both."""
    both = [(step, _of(step, first), _of(step, second)) for step in steps]
    both = [(step, one, other) for step, one, other in both if one and other]
    if not both:
        return None
    gaps = np.array([_gain(one) - _gain(other) for _, one, other in both])
    columns = np.stack([gaps, np.ones(len(gaps))], axis=1)
    numbers = [step.number for step, _, _ in both]
    decided = [(step.accepted.source, one, other) for step, one, other in both if step.accepted]
    decided = [each for each in decided if each[0] in (first, second)]
    shares = [len(one) / (len(one) + len(other)) for _, one, other in decided]
    won = sum(source is first for source, _, _ in decided)
    difference = resample(columns, numbers).ratio(0, 1)
    won_p, difference_p = as_far(won, shares), sign_flip(gaps, numbers)
    return Contest(first, second, len(both), won, len(decided), sum(shares), won_p, difference, difference_p)


def as_far(count: int, shares: Sequence[float]) -> float:
    """Two-sided p-value of `count` successes of independent trials with these chances: the probability of all counts
    that are no likelier. Exact (Poisson binomial)."""
    chances = np.ones(1)
    for share in shares:
        chances = np.convolve(chances, (1 - share, share))
    return min(1.0, float(chances[chances <= chances[count] * (1 + 1e-9)].sum()))


def slopes(steps: Sequence[Step]) -> list[tuple[Step, Tried]]:
    """Edits that have a slope and were raced."""
    return [(step, each) for step in steps for each in step.edits if each.slope is not None and each.standing.rows]


def foresight(steps: Sequence[Step]) -> Interval | None:
    """The rank correlation of slopes with what the edits gained; below 0 where the gradient knows (95 %, bootstrap over
    steps). None of too few edits, or where one of the two does not vary."""
    told = slopes(steps)
    if len(told) < _FEWEST_SLOPES:
        return None
    expected = np.array([each.slope for _, each in told], float)
    gained = np.array([each.standing.gain for _, each in told])
    return bootstrap(lambda at: spearman(expected[at], gained[at]), [step.number for step, _ in told], times=500)


def _of(step: Step, source: Source) -> list[Tried]:
    return [each for each in step.edits if each.source is source]


def _gain(edits: Sequence[Tried]) -> float:
    return sum(each.standing.gain for each in edits) / len(edits)
