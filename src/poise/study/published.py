"""The logs of "Inference Scaling vs Reasoning" (AbdElhameed and Halim 2024, arXiv 2412.16260), replayed: its verdicts,
and what other rules of voting and stopping would have made of the same 7B answers. Keyed by the id of the item.

The study took its six votes in one order and broke ties by it. Here a figure is the mean over all orders of the votes,
with ties broken at random, so it is exact and does not depend on an order that means nothing."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, permutations
from pathlib import Path
from typing import Any

from poise.errors import DataError
from poise.evals import stats
from poise.evals.rows import Interval

SUFFIXES = ("_votes", "_leaves")


@dataclass(frozen=True, slots=True)
class Logged:
    """One question of one configuration. `answers`: of its votes or leaves, in order, None where there was none;
    `seconds` of each vote (none of a leaf); `total`: the seconds and the claimed FLOPs of all; `correct`:
    the study's own verdict."""

    id: int
    truth: str
    answers: tuple[str | None, ...]
    correct: bool
    total: tuple[float, float]
    seconds: tuple[float, ...] = ()

    @property
    def right(self) -> tuple[bool, ...]:
        """Whether each answer is the truth."""
        return tuple(answer == self.truth for answer in self.answers)


@dataclass(frozen=True, slots=True)
class Log:
    """One configuration of the study, by the id of the item."""

    name: str
    items: Mapping[int, Logged]

    def accuracy(self) -> Interval:
        """By the study's verdicts, with its 95 % interval."""
        return stats.wilson(sum(item.correct for item in self.items.values()), len(self.items))

    def means(self) -> tuple[float, float]:
        """Seconds and claimed FLOPs a question."""
        totals = [item.total for item in self.items.values()]
        return math.fsum(s for s, _ in totals) / len(totals), math.fsum(f for _, f in totals) / len(totals)

    def oracle(self) -> int:
        """Questions for which some answer is right."""
        return sum(any(item.right) for item in self.items.values())


def read_logs(folder: Path) -> list[Log]:
    """Every configuration in a folder of *_votes.jsonl and *_leaves.jsonl. Raises DataError for a folder without any,
    and for a line that is none, with its number."""
    paths = sorted(path for suffix in SUFFIXES for path in folder.glob(f"*{suffix}.jsonl"))
    if not paths:
        raise DataError(str(folder), 0, "no logs", "a folder with files *_votes.jsonl or *_leaves.jsonl")
    return [read_log(path) for path in paths]


def read_log(path: Path) -> Log:
    """One configuration. Raises DataError."""
    items: dict[int, Logged] = {}
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(str(path), 0, str(error), "a readable file in UTF-8") from None
    for number, line in enumerate(lines, 1):
        try:
            item = _logged(json.loads(line))
        except (ValueError, TypeError, LookupError) as error:
            raise DataError(str(path), number, line[:80], f"a question of the study's logs ({error!r})") from None
        if item.id in items:
            raise DataError(str(path), number, item.id, "each id once")
        items[item.id] = item
    if not items:
        raise DataError(str(path), 0, "no lines", "a question a line")
    name = path.stem
    for suffix in SUFFIXES:
        name = name.removesuffix(suffix)
    return Log(name, items)


def _logged(line: dict[str, Any]) -> Logged:
    id, truth, correct = int(line["id"]), str(line["truth"]), bool(line["logged_correct"])
    if "leaves" in line:
        answers = tuple(_answer(leaf["answer"]) for leaf in line["leaves"])
        return Logged(id, truth, answers, correct, (float(line["seconds"]), float(line["total_flops"])))
    votes = line["votes"]
    seconds = tuple(float(vote["seconds"]) for vote in votes)
    flops = math.fsum(float(vote["claimed_flops"]) for vote in votes)
    return Logged(
        id, truth, tuple(_answer(vote["answer"]) for vote in votes), correct, (math.fsum(seconds), flops), seconds
    )


def _answer(said: object) -> str | None:
    return None if said is None else str(said)


def paired(one: Log, other: Log) -> tuple[int, int, float]:
    """Items that only `one` got right, that only `other` did, and the exact McNemar p, by the study's verdicts on the
    items that both have."""
    pairs = [(one.items[id].correct, other.items[id].correct) for id in one.items.keys() & other.items.keys()]
    first, second = pairs.count((True, False)), pairs.count((False, True))
    return first, second, stats.mcnemar(first, second)


def majority(items: Sequence[Logged], k: int) -> float:
    """Accuracy of a majority of k votes."""
    return _mean(_mean(_chance(item, some) for some in combinations(range(len(item.answers)), k)) for item in items)


def passed(items: Sequence[Logged], k: int) -> float:
    """Questions for which one at least of k votes is right (pass@k)."""
    return _mean(
        1 - math.comb(len(item.answers) - sum(item.right), k) / math.comb(len(item.answers), k) for item in items
    )


def stopped(items: Sequence[Logged], agreeing: int) -> tuple[float, float]:
    """Accuracy and seconds a question, one vote after the other, of a vote that stops at so many equal answers."""
    told = [_stopped(item, agreeing) for item in items]
    return _mean(chance for chance, _ in told), _mean(seconds for _, seconds in told)


def _stopped(item: Logged, agreeing: int) -> tuple[float, float]:
    chances, seconds = list[float](), list[float]()
    for order in permutations(range(len(item.answers))):
        count: Counter[str] = Counter()
        taken = list[int]()
        for place in order:
            taken.append(place)
            answer = item.answers[place]
            count.update([] if answer is None else [answer])
            if answer is not None and count[answer] >= agreeing:
                break
        chances.append(_chance(item, taken))
        seconds.append(math.fsum(item.seconds[place] for place in taken))
    return _mean(chances), _mean(seconds)


def agreement(items: Sequence[Logged]) -> dict[int, tuple[int, int]]:
    """By the votes for the most common answer: questions that the study's verdict has right, and all of them."""
    found: dict[int, tuple[int, int]] = {}
    for item in items:
        top = max(Counter(answer for answer in item.answers if answer is not None).values(), default=0)
        right, all_ = found.get(top, (0, 0))
        found[top] = right + item.correct, all_ + 1
    return dict(sorted(found.items()))


def _chance(item: Logged, votes: Sequence[int]) -> float:
    """That the truth wins among some votes, ties broken at random; a vote without an answer does not count."""
    count = Counter(answer for place in votes if (answer := item.answers[place]) is not None)
    if not count:
        return 0.0
    most = max(count.values())
    leaders = [answer for answer, number in count.items() if number == most]
    return (item.truth in leaders) / len(leaders)


def _mean(values: Iterable[float]) -> float:
    told = list(values)
    return math.fsum(told) / len(told)
