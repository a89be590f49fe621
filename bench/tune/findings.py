"""What was found, read from the folder without any model: searches, and outcomes of prompts on DEV and TEST."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from running import ASKED, DEV, SEARCHES, SETS, TEST, ExperimentDir
from ways import EXPERIMENTS, MODELS, WAYS, Ask, Search, Sizes, Subject, asks_front, parts

from poise.answers import same
from poise.core import Kind
from poise.evals.stats import noninferior
from poise.tune.archive import Archive, Counted, Measured
from poise.tune.optimizer import DEV as JUDGED
from poise.tune.optimizer import RESULT, STEPS, TuneDir

ON_THE_FRONT = 5
_LEVEL = 0.05


@dataclass(frozen=True)
class Outcomes(Counted):
    """Of a set under one prompt, in its order. `values`: what was read out of the answers, where it was kept."""

    right: tuple[bool, ...]
    tokens: tuple[int, ...]
    values: tuple[str | None, ...] = ()


@dataclass(frozen=True)
class Found:
    """A search that ended. `steps`: tokens spent after each, and the prompt then. `judged`: its own DEV, greedy for
    ways that are."""

    search: Search
    initial: str
    shipped: str
    steps: tuple[tuple[int, str], ...]
    judged: tuple[Measured, ...]

    @property
    def shown(self) -> bool:
        """Whether the optimiser showed a gain."""
        return self.shipped != self.initial

    @property
    def spent(self) -> int:
        """Tokens of the search."""
        return self.steps[-1][0] if self.steps else 0

    @property
    def last(self) -> str:
        """The prompt that the search ended with."""
        return self.steps[-1][1] if self.steps else self.initial

    def held(self, tokens: float) -> str:
        """The prompt after the last step that so many tokens pay for."""
        return next((prompt for spent, prompt in reversed(self.steps) if spent <= tokens), self.initial)

    @property
    def strongest(self) -> str:
        """What it shipped; where no gain was shown, the most accurate of the others that it judged, if there is one."""
        others = [one for one in self.judged if one.name != self.initial]
        best = max(others, key=lambda one: (one.accuracy, -one.cost), default=None)
        return self.shipped if self.shown or best is None else best.name

    def brief(self, margin: float) -> str:
        """The shortest prompt that DEV shows to lose less than the margin to the initial one; that one if none is."""
        first = next(one for one in self.judged if one.name == self.initial)
        for one in sorted(self.judged, key=lambda one: one.cost):
            pairs = list(zip(one.right, first.right, strict=True))
            wins, losses = pairs.count((True, False)), pairs.count((False, True))
            if one.cost < first.cost and noninferior(wins, losses, len(pairs), margin) < _LEVEL:
                return one.name
        return self.initial


def found_in(folder: Path, search: Search) -> Found | None:
    """A search that ended; None before it did."""
    store = TuneDir(folder / SEARCHES / search.name)
    result = store.read(RESULT)
    if result is None:
        return None
    spent, steps = 0, list[tuple[int, str]]()
    for line in store.lines(STEPS):
        spent += line["spent"]["tokens"]
        steps.append((spent, line["prompt"]))
    judged = {
        line["prompt"]: Measured(line["prompt"], tuple(line["right"]), tuple(line["tokens"]), tuple(line["seconds"]))
        for line in store.lines(JUDGED)
    }
    kept = tuple(judged[each["prompt"]] for each in result["prompts"])
    return Found(search, result["initial"], result["best"], tuple(steps), kept)


class Findings:
    """All that there is on some tasks. `only`: of which experiments it is told; a front is of all that was found."""

    def __init__(self, folder: Path, subjects: Sequence[Subject], sizes: Sizes, only: str = "") -> None:
        store = ExperimentDir(folder)
        self.sizes, self._parts = sizes, parts(subjects, sizes, only)
        self._fronts = [each for each in subjects if asks_front(each, only)]
        self.searches = {part.search: found_in(folder, part.search) for part in parts(subjects, sizes)}
        self._sets = {(line["subject"], line["set"], line["seed"]): line for line in store.lines(SETS)}
        self._outcomes = dict[Ask, Outcomes]()
        for found in filter(None, self.searches.values()):
            self._take(found)
        for line in store.lines(ASKED):
            told = (tuple(line[key]) for key in ("right", "tokens", "values"))
            self._outcomes[Ask(**line["ask"])] = Outcomes(*told)

    def _take(self, found: Found) -> None:
        search = found.search
        if WAYS[search.way].greedy:
            return
        for one in found.judged:
            ask = Ask(search.model, search.subject, DEV, one.name, search.seed)
            self._outcomes.setdefault(ask, Outcomes(one.right, one.tokens))

    def of(self, experiment: str) -> list[Found]:
        """The searches of an experiment that ended, in their order."""
        found = (self.searches[part.search] for part in self._parts if part.experiment == experiment)
        return [each for each in found if each is not None]

    def outcomes(self, ask: Ask) -> Outcomes | None:
        """What is known; None: it was not asked."""
        return self._outcomes.get(ask)

    def dev(self, found: Found, prompt: str) -> Outcomes | None:
        """Of a prompt on the DEV of a search."""
        return self.outcomes(Ask(found.search.model, found.search.subject, DEV, prompt, found.search.seed))

    def test(self, model: str, subject: str, prompt: str, draw: int = 0) -> Outcomes | None:
        """Of a prompt on TEST."""
        return self.outcomes(Ask(model, subject, TEST, prompt, draw=draw))

    def clusters(self, subject: str, set: str, seed: int = 0) -> list[str]:
        """What the questions of a set share, in its order."""
        return list(self._sets[subject, set, seed]["clusters"])

    def kinds(self, subject: str) -> list[Kind]:
        """Of the answers of TEST."""
        return [Kind(each) for each in self._sets[subject, TEST, 0]["kinds"]]

    def dev_to_ask(self) -> list[Ask]:
        """Prompts that a search of E1 held or shipped, and that no judgement at the common temperature has seen."""
        wanted = dict[Ask, None]()
        for found in self.of("E1"):
            search = found.search
            for prompt in (found.initial, *(prompt for _, prompt in found.steps), found.shipped):
                wanted[Ask(search.model, search.subject, DEV, prompt, search.seed)] = None
        return [ask for ask in wanted if ask not in self._outcomes]

    def front(self, subject: Subject) -> list[Measured]:
        """By rising tokens, the prompts that none surely beats among all that the searches of the first seed judged on
        the same questions, at most so many; the shortest and the most accurate are among them."""
        archive, seen = Archive(), set[str]()
        for search, found in self.searches.items():
            first = search.seed == self.sizes.seeds[0] and not WAYS[search.way].greedy
            if found is None or not first or (search.model, search.subject) != (subject.model, subject.name):
                continue
            for one in found.judged:
                if one.name not in seen:
                    seen.add(one.name)
                    archive.add(one)
        return thinned([placed.measured for placed in archive.front()] if seen else [])

    def ended(self, experiment: str, found: Found) -> list[tuple[str, str]]:
        """What TEST is asked of a search: models, and prompts; the initial one first."""
        search = found.search
        prompts = {
            "E1": (found.initial, found.shipped),
            "E5": (found.initial, found.strongest),
        }.get(experiment, (found.initial, found.brief(self.sizes.margin)))
        models = MODELS if experiment == "E5" else (search.model,)
        return [(model, prompt) for model in models for prompt in prompts]

    def tests(self) -> list[Ask]:
        """What TEST is asked: each prompt that a search ends with, the initial one, and those of a front; once each."""
        wanted = [
            Ask(model, found.search.subject, TEST, prompt)
            for experiment in EXPERIMENTS
            for found in self.of(experiment)
            for model, prompt in self.ended(experiment, found)
        ]
        for subject in self._fronts:
            front = self.front(subject)
            wanted += [Ask(subject.model, subject.name, TEST, one.name) for one in front]
            if len(front) > 1:
                wanted.append(Ask(subject.model, subject.name, TEST, front[0].name, draw=1))
        return list(dict.fromkeys(wanted))


def thinned(front: Sequence[Measured], most: int = ON_THE_FRONT) -> list[Measured]:
    """At most so many of a front, by rising tokens: its ends, the most accurate, and others evenly between."""
    if len(front) <= most:
        return list(front)
    best = max(range(len(front)), key=lambda place: (front[place].accuracy, -front[place].cost))
    places = {0, best}
    for place in (round(k * (len(front) - 1) / (most - 1)) for k in range(most)):
        if len(places) < most:
            places.add(place)
    return [front[place] for place in sorted(places)]


def choice(short: Outcomes, again: Outcomes, longer: Outcomes, kinds: Sequence[Kind]) -> Outcomes:
    """Per question, without a label: the short prompt twice; where the two answers are not the same, or there is none,
    the longer one's. All that was drawn is counted."""
    right, tokens = list[bool](), list[int]()
    for place, kind in enumerate(kinds):
        one, other = short.values[place], again.values[place]
        agreed = one is not None and other is not None and same(one, other, kind)
        right.append(short.right[place] if agreed else longer.right[place])
        drawn = short.tokens[place] + again.tokens[place]
        tokens.append(drawn if agreed else drawn + longer.tokens[place])
    return Outcomes(tuple(right), tuple(tokens))


def oracle(front: Sequence[Outcomes]) -> Outcomes:
    """Per question the shortest answer that is right, else the shortest: what no choice can pass, knowing the truth."""
    right, tokens = list[bool](), list[int]()
    for place in range(len(front[0].right)):
        answers = sorted((not one.right[place], one.tokens[place]) for one in front)
        right.append(not answers[0][0])
        tokens.append(answers[0][1] if right[-1] else min(one.tokens[place] for one in front))
    return Outcomes(tuple(right), tuple(tokens))
