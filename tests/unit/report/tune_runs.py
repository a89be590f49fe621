"""Synthetic optimisations: prompts whose worth is known, real races and shortlists, written as `optimise` writes."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from pathlib import Path

from poise.core import Kind as Answer
from poise.evals.rows import Item
from poise.tune.archive import Measured
from poise.tune.budget import Spent, TuneBudget
from poise.tune.chain import most_accurate
from poise.tune.lines import link, step_to_json, tuned_to_json
from poise.tune.optimizer import DEV, FINALISTS, RESULT, STEPS, TuneDir, TuneSettings, _tuned
from poise.tune.problem import Problem, digest
from poise.tune.race import Race, standing
from poise.tune.shortlist import By, Kind, free_edits, shortlist
from poise.tune.step import Stepped, StepSettings, Tried

INITIAL = ("Let", "'s", " think", " step", " by", " step", ".")
WORDS = (
    " reason",
    " work",
    " carefully",
    " line",
    " through",
    " slowly",
    " the",
    " sums",
    " numbers",
    " and",
    " check",
)


@dataclass(frozen=True)
class FakeTask:
    """All that an optimisation tells of its task."""

    name: str = "gsm_symbolic:templates=0-84"


@dataclass
class FakeTuning:
    """`worth`: how far the best and the worst word are apart, a share of rows; `sight`: how well slopes know it."""

    steps: int = 40
    judge: int = 300
    worth: float = 0.10
    sight: float = 1.0
    by: By = By.MIXED
    seed: int = 3
    initial: tuple[str, ...] = INITIAL
    words: tuple[str, ...] = WORDS
    race: Race = Race()
    failed: int = 0

    def value(self, word: str) -> float:
        """What a word adds to the accuracy of a prompt."""
        return self.worth * (random.Random(f"{word}{self.seed}").random() - 0.5)

    def accuracy(self, pieces: tuple[str, ...]) -> float:
        """Of a prompt."""
        said = sum(map(self.value, pieces)) - sum(map(self.value, self.initial))
        short = 0.08 * max(len(self.initial) - 1 - len(pieces), 0)  # so that not everything is left out
        return min(max(0.42 + said - short, 0.02), 0.98)

    def outcomes(self, pieces: tuple[str, ...], rows: int, dice: str) -> list[bool]:
        """Of so many rows; the same dice for every prompt, but for a part of its own."""
        shared, own = random.Random(dice), random.Random(f"{dice}{pieces}")
        luck = [shared.random() if own.random() < 0.7 else own.random() for _ in range(rows)]
        return [each < self.accuracy(pieces) for each in luck]

    def step(self, number: int, pieces: tuple[str, ...]) -> tuple[int, Stepped, tuple[str, ...]]:
        """One step, as a `Stepper` takes it: its place, what it found, and the pieces after it."""
        dice, place = random.Random(f"{self.seed}/{number}"), number % len(pieces)
        tokens = [pieces[place], *dice.sample(self.words, min(8, len(self.words)))]
        slopes = [-20 * self.sight * self.value(token) + dice.gauss(0, 0.6) for token in tokens]
        ids = list(range(len(tokens)))
        edits = shortlist(self.by, ids, slopes if self.by in (By.GRADIENT, By.MIXED) else None, place, 4, dice)
        made = {}
        for edit in edits + free_edits(list(range(len(pieces))), place):
            swap = edit.kind is Kind.SWAP and edit.token is not None
            new = (tokens[edit.token],) if swap and edit.token is not None else ()
            behind = () if edit.kind is Kind.STOP else pieces[place + 1 :]
            cut = (*pieces[:place], *new, *behind)
            text = "".join(cut).strip()
            if text and text != "".join(pieces) and text not in made:
                made[text] = (edit, cut)
        rows = {text: list[bool]() for text in dice.sample(list(made), len(made))}
        mine: list[bool] = []
        for places in self.race.blocks(self.race.most):
            running = self.race.running(mine, rows)
            if not running:
                break
            told = f"{self.seed}/{number}/{len(mine)}"
            mine = mine + self.outcomes(pieces, len(places), told)
            for text in running:
                rows[text] = rows[text] + self.outcomes(made[text][1], len(places), told)
        best = self.race.winner(mine, rows)
        tried = tuple(Tried(edit, text, standing(mine, rows[text])) for text, (edit, _) in made.items())
        calls = len(mine) + sum(map(len, rows.values()))
        spent = Spent(calls, 95 * calls + 4000, 0.11 * calls)
        prompt = best if best is not None else "".join(pieces)
        found = Stepped(prompt, made[best][0] if best else None, tried, spent, self.failed, tuple(mine))
        return place, found, self.cut(made[best][1] if best else pieces)

    def cut(self, pieces: tuple[str, ...]) -> tuple[str, ...]:
        """Prompts begin without a space."""
        return (pieces[0].lstrip(), *pieces[1:])

    def measured(self, pieces: tuple[str, ...]) -> Measured:
        """A prompt on the rows that judge."""
        dice = random.Random(f"{pieces}")
        tokens = [max(8, round(dice.gauss(60 + 4 * len(pieces), 18))) for _ in range(self.judge)]
        right = self.outcomes(pieces, self.judge, f"judge {self.seed}")
        return Measured("".join(pieces), tuple(right), tuple(tokens), tuple(each / 40 for each in tokens))

    def settings(self) -> tuple[TuneSettings, Problem]:
        """Of the run."""

        def items(word: str, count: int) -> tuple[Item, ...]:
            return tuple(
                Item(f"{word}-{k}", "sums", f"What {word} {k}?", "1", Answer.NUMBER, f"{k}") for k in range(count)
            )

        step = StepSettings(self.by, race=self.race)
        settings = TuneSettings("".join(self.initial), TuneBudget(calls=10_000), step, seed=self.seed)
        return settings, Problem(FakeTask(), items("learn", 60), items("judge", self.judge))  # type: ignore[arg-type]

    def write(self, path: Path, judged: int | None = None, ended: bool = True) -> Path:
        """The directory; `judged`: how many finalists (None: all), `ended`: with a result."""
        settings, problem = self.settings()
        environment = {"poise": "0.1.0", "python": "3.13", "cpus": 2}
        with TuneDir(path).claimed(settings.to_json(problem, "smollm2-135m-word-problems"), environment) as store:
            pieces, known = self.initial, {settings.initial: self.initial}
            links, before, spent = [], settings.initial, Spent()
            for number in range(self.steps):
                place, found, after = self.step(number, pieces)
                told = step_to_json(number, place, found, found.spent, pieces)
                store.append(STEPS, told)
                pieces = after
                known[found.prompt] = pieces
                if found.prompt != before:
                    links += [link(one) for one in told["tried"] if one["prompt"] == found.prompt]
                before = found.prompt
                spent.add(found.spent.calls, found.spent.tokens, found.spent.seconds)
            texts = most_accurate(settings.initial, links, FINALISTS)[:judged]
            measured = [replace(self.measured(known[text]), name=text) for text in texts]
            for one in measured:
                line = {
                    "prompt": one.name,
                    "of": digest(problem.judge),
                    "right": one.right,
                    "tokens": one.tokens,
                    "seconds": one.seconds,
                }
                store.append(DEV, line)
            clusters = [item.cluster for item in problem.judge]
            if ended:
                store.write(RESULT, tuned_to_json(_tuned(measured, clusters, self.steps, spent)))
        return path
