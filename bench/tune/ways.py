"""What is compared: tasks, models, ways of searching, and which experiment needs which search. Pure.

E1  gradient, random and likelihood shortlists, mixed (the default) and greater (as published), at equal tokens; what
    parts the last two: mixed with greedy answers, and mixed without a bar
E2  the loss of length without and with its stop term; both are searches for shorter answers
E3  edits of length alone: phrases, sentences, numbers; no token is chosen
E4  the front of all that was found, with a choice per question, beside its best single prompt
E5  transfer: the best prompt of one model, asked of the other
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

from poise.evals.stats import smallest_margin
from poise.records import Json
from poise.tune.lengths import Shorter
from poise.tune.race import Race
from poise.tune.rows import LossTerms
from poise.tune.shortlist import By
from poise.tune.step import StepSettings

MODELS = {"default": "torch:default", "base": "torch:smollm2-135m-instruct"}
ADAPTED, BASE = MODELS
EXPERIMENTS = ("E1", "E2", "E3", "E4", "E5")
ELSEWHERE = ("mixed", "random")
"""Ways of E1 on tasks that are not among its main ones: the default, and its control."""
DISCORDANT = 0.25
"""Supposed share of questions that only one of two prompts gets right; the margin is that which it supports."""


@dataclass(frozen=True)
class Subject:
    """A task under a short name. `model`: the one that is tuned for it; `main`: E1 asks all of it, with all seeds;
    `endless`: another seed has other questions; `pool`: tasks that are told together too; `left_out`: ids that are not
    asked."""

    name: str
    spec: str
    model: str = ADAPTED
    main: bool = False
    endless: bool = False
    pool: str = ""
    left_out: frozenset[str] = frozenset()


PROCEDURAL = (
    Subject("products", "products:min_digits=1,max_digits=2", BASE, main=True, endless=True),
    Subject(
        "arithmetic",
        "basic_arithmetic:min_terms=2,max_terms=2,min_digits=1,max_digits=1",
        BASE,
        main=True,
        endless=True,
    ),
    Subject("gsm_symbolic", "gsm_symbolic:templates=0-84", endless=True),
)
"""Main tasks are those where the model as it comes has headroom: one that was trained on solutions hardly minds what it
is told."""


@dataclass(frozen=True)
class Way:
    """How a search goes: what `Optimizer` is told of it."""

    name: str
    by: By
    shorter: bool = False
    stop: bool = False
    tries: int = 4
    temperature: float = 0.7
    race: Race = Race()

    def step(self, reasoning: int) -> StepSettings:
        """Of every step."""
        length = Shorter() if self.shorter else None
        return StepSettings(
            self.by,
            tries=self.tries,
            reasoning_tokens=reasoning,
            temperature=self.temperature,
            race=self.race,
            shorter=length,
        )

    @property
    def greedy(self) -> bool:
        """Whether it judges by greedy answers: not what others are compared by."""
        return self.step(1).sampling.temperature == 0

    @property
    def terms(self) -> LossTerms:
        """Of the loss."""
        return LossTerms.shorter() if self.stop else LossTerms()


WAYS = {
    way.name: way
    for way in (
        *(Way(by.value, by) for by in (By.MIXED, By.GREATER, By.GRADIENT, By.RANDOM, By.LIKELIHOOD)),
        Way("greedy", By.MIXED, temperature=0.0),
        Way("no-bar", By.MIXED, race=Race(accept=0.5)),
        Way("read-off", By.MIXED, shorter=True),
        Way("stop-term", By.MIXED, shorter=True, stop=True),
        Way("phrases", By.MIXED, shorter=True, tries=0),
    )
}
BY_ACCURACY = tuple(name for name, way in WAYS.items() if not way.shorter)


@dataclass(frozen=True)
class Search:
    """One run of the optimiser."""

    model: str
    subject: str
    way: str
    seed: int

    @property
    def name(self) -> str:
        """Of its folder."""
        return f"{self.model}-{self.subject}-{self.way}-{self.seed}"


@dataclass(frozen=True)
class Sizes:
    """`tokens`: the budget of a search, generated and run through the model; `learn`, `dev`, `test`: questions;
    `reasoning`: tokens of an answer at most; `draws`: of a question, to see whether there is anything to gain. E1 has
    all `seeds`, the others the first; `initial`: the prompt to begin with (zero-shot chain of thought, if empty)."""

    tokens: int = 80_000
    learn: int = 32
    dev: int = 300
    test: int = 300
    reasoning: int = 96
    draws: int = 8
    seeds: tuple[int, ...] = (0, 1, 2)
    initial: str = ""

    def to_json(self) -> Json:
        """What a folder cannot go on under another of: all but the budget, which may grow."""
        return {"version": 1} | {k: v for k, v in asdict(self).items() if k != "tokens"}

    @property
    def margin(self) -> float:
        """Of non-inferiority: whole points, known before anything is asked."""
        return math.ceil(100 * smallest_margin(DISCORDANT, self.test)) / 100


QUICK = Sizes(tokens=15_000, learn=8, dev=10, test=10, reasoning=48, draws=2, seeds=(0,))


@dataclass(frozen=True)
class Part:
    """A search that an experiment needs."""

    experiment: str
    search: Search

    @property
    def label(self) -> str:
        """What `--only` is matched with."""
        search = self.search
        return f"{self.experiment} {search.model} {search.subject} {search.way} {search.seed}"


def parts(subjects: Sequence[Subject], sizes: Sizes, only: str = "") -> list[Part]:
    """All that the experiments need on these tasks, in the order they are run: ways of a seed side by side, so that
    drift of the machine falls on all of them. E4 searches nothing of its own."""
    return [part for part in _parts(subjects, sizes) if re.search(only, part.label)]


def _parts(subjects: Sequence[Subject], sizes: Sizes) -> Iterator[Part]:
    main = [each for each in subjects if each.main]
    for seed in sizes.seeds:
        yield from (Part("E1", Search(one.model, one.name, way, seed)) for one in main for way in BY_ACCURACY)
    first = sizes.seeds[0]
    others = [each for each in subjects if not each.main]
    yield from (Part("E1", Search(one.model, one.name, way, first)) for one in others for way in ELSEWHERE)
    for experiment, ways in (("E2", ("read-off", "stop-term")), ("E3", ("phrases",))):
        yield from (Part(experiment, Search(one.model, one.name, way, first)) for one in main for way in ways)
    yield from (Part("E5", Search(model, one.name, "mixed", first)) for model in MODELS for one in main)


def asks_front(subject: Subject, only: str) -> bool:
    """Whether E4 is asked for on a task."""
    return subject.main and bool(re.search(only, f"E4 {subject.model} {subject.name}"))


@dataclass(frozen=True)
class Cost:
    """What a part of the work takes, as far as can be said before it."""

    name: str
    tokens: int

    def told(self, rate: float) -> str:
        """In a line; `rate` in tokens a second."""
        return f"{self.name}: about {self.tokens:,} tokens, {self.tokens / rate / 60:,.0f} minutes"


JUDGED, TESTED, FRONT, LENGTH = {False: 3.2, True: 6.0}, 0.6, 3, 0.75
"""Supposed: prompts that a search judges, those of it and of a front that TEST sees, and the share of `reasoning` that
answers take."""


def costs(todo: Sequence[Part], sizes: Sizes, scans: int, fronts: int = 0) -> list[Cost]:
    """What is not done yet, by experiment; a search that two need counts once. `scans`: answers that say whether there
    is anything to gain; `fronts`: tasks of E4."""
    answer = sizes.reasoning * LENGTH
    found, seen = [Cost("headroom", round(scans * answer))], set[Search]()
    for experiment in EXPERIMENTS:
        new = {part.search for part in todo if part.experiment == experiment} - seen
        seen |= new
        tokens = sum(sizes.tokens + JUDGED[WAYS[one.way].shorter] * sizes.dev * answer for one in new)
        tokens += len(new) * TESTED * sizes.test * answer
        tokens += sum(2 * sizes.dev * answer for one in new if WAYS[one.way].greedy)  # its DEV once more
        if experiment == "E4":
            tokens += fronts * FRONT * sizes.test * answer
        if tokens:
            found.append(Cost(experiment, round(tokens)))
    return [*found, Cost("in all", sum(each.tokens for each in found))]


@dataclass(frozen=True)
class Ask:
    """A whole set put to a model under one prompt. `seed`: whose DEV it is, and of its dice; `draw`: of TEST, whose
    questions have one seed."""

    model: str
    subject: str
    set: str
    prompt: str
    seed: int = 0
    draw: int = 0
