"""The prompts worth keeping: a Pareto archive of accuracy and cost that knows how noisy its points are. Pure numpy."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np

from poise.errors import ConfigError, UnknownName
from poise.evals.rows import Interval
from poise.evals.stats import Array, noninferior, quantiles, resample, smallest_margin

_LEVEL = 0.05


class Objective(Enum):
    """What a prompt is to be good at: the share of right answers, few new tokens, and a low 95th percentile of the
    seconds of an answer."""

    ACCURACY = "accuracy"
    TOKENS = "tokens"
    SECONDS = "seconds"

    @classmethod
    def named(cls, names: Sequence[str | Objective]) -> tuple[Objective, ...]:
        """Objectives by their words. Raises UnknownName, and ConfigError where accuracy is not among them."""
        words = {each.value: each for each in cls}
        for name in names:
            if not isinstance(name, Objective) and name not in words:
                raise UnknownName("objectives", str(name), words)
        found = tuple(name if isinstance(name, Objective) else words[name] for name in names)
        if cls.ACCURACY not in found:
            raise ConfigError("objectives", [each.value for each in found], "accuracy among them")
        return found


DEFAULT = (Objective.ACCURACY, Objective.TOKENS)


class Counted:
    """What there is to say of rows that were answered: whether each was `right`, and its new `tokens`."""

    __slots__ = ()
    right: tuple[bool, ...]
    tokens: tuple[int, ...]

    @property
    def accuracy(self) -> float:
        """Share of rows."""
        return sum(self.right) / len(self.right)

    @property
    def cost(self) -> float:
        """New tokens a row."""
        return sum(self.tokens) / len(self.tokens)


@dataclass(frozen=True, slots=True)
class Measured(Counted):
    """A prompt on rows that all prompts of an archive share, in their order: whether each was right, its new tokens,
    and its seconds."""

    name: str
    right: tuple[bool, ...]
    tokens: tuple[int, ...]
    seconds: tuple[float, ...]

    @property
    def latency(self) -> float:
        """The 95th percentile of seconds."""
        return quantiles(self.seconds).p95


@dataclass(frozen=True, slots=True)
class Placed:
    """A point of the front with its intervals."""

    measured: Measured
    accuracy: Interval
    tokens: Interval


class Archive:
    """Prompts that no other surely beats in the `objectives`. One is beaten when another is, in `sure` of the
    replicates of a paired bootstrap over rows, as accurate and as cheap at once, by boxes of `accuracy_box` (share) and
    `token_box` (a share of the tokens, or of the seconds): what differs by less than a box counts as equal, so that
    noise does not fill the archive. Raises ConfigError for prompts on other rows."""

    def __init__(
        self,
        sure: float = 0.9,
        accuracy_box: float = 0.005,
        token_box: float = 0.02,
        *,
        objectives: Sequence[Objective] = DEFAULT,
        seed: int = 0,
        times: int = 500,
    ) -> None:
        if not 0.5 <= sure <= 1:
            raise ConfigError("sure", sure, "0.5 to 1")
        for knob, value in (("accuracy_box", accuracy_box), ("token_box", token_box)):
            if not 0 <= value < 1:
                raise ConfigError(knob, value, "0 or more, below 1")
        self._sure, self._boxes, self._seed, self._times = sure, (accuracy_box, token_box), seed, times
        self._costs = [each for each in objectives if each is not Objective.ACCURACY]
        self._members: list[Measured] = []

    def add(self, measured: Measured) -> bool:
        """Take a prompt in unless one in here beats it; those that it beats leave. Whether it is in."""
        if len({len(measured.right), len(measured.tokens), len(measured.seconds)}) != 1 or not measured.right:
            raise ConfigError("rows", len(measured.right), "as many outcomes as tokens and seconds, at least one")
        if self._members and len(self._members[0].right) != len(measured.right):
            raise ConfigError("rows", len(measured.right), f"{len(self._members[0].right)}, as the others have")
        if any(self.beats(member, measured) for member in self._members):
            return False
        self._members = [member for member in self._members if not self.beats(measured, member)] + [measured]
        return True

    def beats(self, one: Measured, other: Measured) -> bool:
        """Whether `one` is surely as right and as cheap as `other`, but for a box, and `other` better in nothing."""
        accuracy_box, token_box = self._boxes
        if other.accuracy > one.accuracy + accuracy_box:
            return False
        if any(_cost(other, each) < _cost(one, each) * (1 - token_box) for each in self._costs):
            return False
        rows = len(one.right)
        drawn = np.random.default_rng(self._seed).integers(rows, size=(self._times, rows))
        right = [np.array(each.right, float)[drawn].mean(1) for each in (one, other)]
        sure = right[0] >= right[1] - accuracy_box
        for each in self._costs:
            cost, against = (_read(_costs(measured, each)[drawn], each) for measured in (one, other))
            sure &= cost <= against * (1 + token_box)
        return float(sure.mean()) >= self._sure

    def front(self) -> list[Placed]:
        """Members by rising cost, with bootstrap intervals."""
        found = []
        for member in sorted(self._members, key=lambda one: (one.cost, -one.accuracy)):
            rows = len(member.right)
            columns = np.array([member.right, member.tokens, [1] * rows], float).T
            drawn = resample(columns, range(rows), seed=self._seed)
            found.append(Placed(member, drawn.ratio(0, 2), drawn.ratio(1, 2)))
        return found

    def fastest(self, latency: float) -> Measured | None:
        """The most accurate member whose p95 is at most so many seconds; the shortest of equals. None: none is."""
        within = [member for member in self._members if member.latency <= latency]
        return max(within, key=lambda one: (one.accuracy, -one.cost), default=None)

    def shortest(self, max_drop: float) -> Measured:
        """The shortest member that is shown, at 5 %, not to be worse than the most accurate one by `max_drop` (a share)
        or more; that one itself where none is. Raises ConfigError where the rows are too few to show so small a drop:
        it names how many would do."""
        best, rows = self._best(), len(self._best().right)
        shorter = [member for member in self._members if member.cost < best.cost]
        for member in sorted(shorter, key=lambda one: one.cost):
            pairs = list(zip(member.right, best.right, strict=True))
            if noninferior(pairs.count((True, False)), pairs.count((False, True)), rows, max_drop) < _LEVEL:
                return member
        apart = [sum(a != b for a, b in zip(one.right, best.right, strict=True)) / rows for one in shorter]
        if apart and smallest_margin(min(apart), rows) > max_drop:
            need = math.ceil(6.18 * min(apart) / max_drop**2)
            raise ConfigError("max_drop", max_drop, f"a drop that {rows} rows can show; this one takes {need:,}")
        return best

    def knee(self) -> Measured:
        """The member farthest above the straight line from the shortest to the most accurate, on log tokens."""
        best, line = self._best(), sorted(self._members, key=lambda one: one.cost)
        short = line[0]
        if short is best or best.cost <= short.cost:
            return best
        width = math.log(best.cost / short.cost)

        def above(one: Measured) -> float:
            share = math.log(max(one.cost, 1e-9) / short.cost) / width
            return one.accuracy - (short.accuracy + share * (best.accuracy - short.accuracy))

        return max((one for one in line if one.cost <= best.cost), key=above)

    def _best(self) -> Measured:
        if not self._members:
            raise ConfigError("archive", 0, "at least one prompt")
        return max(self._members, key=lambda one: (one.accuracy, -one.cost))


def archived(measured: Iterable[Measured], objectives: Sequence[Objective] = DEFAULT) -> Archive:
    """An archive that was offered all of these, in their order. Raises ConfigError as `add` does."""
    archive = Archive(objectives=objectives)
    for one in measured:
        archive.add(one)
    return archive


def _cost(measured: Measured, objective: Objective) -> float:
    return measured.latency if objective is Objective.SECONDS else measured.cost


def _costs(measured: Measured, objective: Objective) -> Array:
    return np.array(measured.seconds if objective is Objective.SECONDS else measured.tokens, float)


def _read(replicates: Array, objective: Objective) -> Array:
    """One figure a replicate: the 95th percentile of seconds, the mean of tokens."""
    return np.quantile(replicates, 0.95, axis=1) if objective is Objective.SECONDS else replicates.mean(1)
