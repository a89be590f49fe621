"""An optimisation from an initial prompt to one whose gain is shown, or back to the initial one.

    tune.json      the settings; a run cannot go on under others
    steps.jsonl    one line a step: what was tried, what was accepted, what it cost
    cut.jsonl      one line a step that was cut off because the seconds of the budget ran out: how many it had taken
    dev.jsonl      one line a prompt that was judged at the end, with the outcome of every row
    test.jsonl     the same for the prompt that was picked and the initial one, on questions that nothing was chosen by
    result.json    what came of it, and which prompt was picked by what rule

Step n depends on the seed, its number and the prompt before it alone, so a run that was killed goes on as if it had not
been.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from poise.core import Prompt
from poise.evals.rows import Interval, Item
from poise.records import Json
from poise.seams import Engine
from poise.store.environment import environment
from poise.store.run_dir import RunDir
from poise.tune.archive import Measured, Placed, archived
from poise.tune.budget import Spent, TuneBudget
from poise.tune.chain import Link, most_accurate, on_the_front
from poise.tune.gain import Gain, gain
from poise.tune.generate import generated
from poise.tune.lines import cut_to_json, link, step_to_json, tuned_to_json
from poise.tune.placing import messages, pieces, placed
from poise.tune.problem import Problem, digest
from poise.tune.rows import LossTerms
from poise.tune.step import StepSettings
from poise.tune.steppers import steps_of

if TYPE_CHECKING:
    from poise.engines.torch_lm import TorchLM

STEPS, CUT, DEV, TEST, RESULT = "steps.jsonl", "cut.jsonl", "dev.jsonl", "test.jsonl", "result.json"
FINALISTS, ON_THE_FRONT = 5, 12
"""Prompts besides the initial one that are judged at the end: the most accurate by what their races saw; where length
is an objective too, all that may be on the front by that, at most so many."""


def initial() -> str:
    """The prompt to begin with where none is given: zero-shot chain of thought (Kojima et al. 2022, 2205.11916)."""
    return Path(__file__).with_name("initial.txt").read_text(encoding="utf-8").strip()


class TuneDir(RunDir):
    """The directory of an optimisation."""

    settings_file: ClassVar[str] = "tune.json"
    line_files: ClassVar[tuple[str, ...]] = (STEPS, CUT, DEV, TEST)


@dataclass(frozen=True, slots=True)
class Progress:
    """After a step: its number, the prompt, what was spent of the budget's ceiling, and how many of its `rows` the
    prompt before it got `right`. In the end, `judged` of so many `finalists` are, and `prompt` is the next of them;
    `testing`: by the questions of the test."""

    step: int
    prompt: str
    spent: float
    ceiling: float
    right: int = 0
    rows: int = 0
    judged: int | None = None
    finalists: int = 0
    testing: bool = False


@dataclass(frozen=True, slots=True)
class Tuned:
    """`best` is the initial prompt unless another one's accuracy on the rows that judge is shown to be above it.
    `gain`: of the most accurate finalist, shown or not. `pareto_front`: all finalists that none surely beats. `steps`:
    how many were taken; none where seconds ran out in the first."""

    initial: str
    best: str
    gained: Gain
    pareto_front: tuple[Placed, ...]
    detailed_results: tuple[Measured, ...]
    steps: int
    spent: Spent

    @property
    def shown(self) -> bool:
        """Whether anything was gained, as far as can be told."""
        return self.best != self.initial

    @property
    def gain(self) -> Interval:
        """The accuracy of the most accurate finalist above the initial prompt's; see `Gain`."""
        return self.gained.interval

    @property
    def judged_best(self) -> Measured:
        """`best` with its outcomes."""
        return next(one for one in self.detailed_results if one.name == self.best)


@dataclass(frozen=True, slots=True)
class TuneSettings:
    """The prompt to begin with, what may be spent, how a step is taken, the loss, and the seed. Where length is an
    objective, a slot {n} of the prompt is filled by the bank's number."""

    initial: str
    budget: TuneBudget
    step: StepSettings = StepSettings()
    terms: LossTerms = LossTerms()
    seed: int = 0

    @property
    def beginning(self) -> str:
        """The initial prompt as it is asked. Raises ConfigError for a slot that cannot be filled."""
        return self.step.shorter.phrases.filled(self.initial) if self.step.shorter else self.initial

    def to_json(self, problem: Problem, model: str) -> Json:
        """Everything that decides the outcome but the ceiling of the budget, which may be raised."""
        return {
            "version": 2,
            "task": problem.task.name,
            "learn": [item.id for item in problem.learn],
            "judge": [item.id for item in problem.judge],
            "rows": digest((*problem.learn, *problem.judge)),
            "initial": self.initial,
            "unit": self.budget.unit,
            "step": {k: v for k, v in asdict(self.step).items() if v is not None} | {"by": self.step.by.value},
            "terms": asdict(self.terms),
            "seed": self.seed,
            "model": model,
        }


@dataclass(slots=True)
class _State:
    """Where a run stands: the prompt, what the races of those accepted so far saw, steps, the place of the last one,
    what was spent, and the dearest step. `idle`: how many steps in a row had nothing to try; `stuck`: once they were
    more than the prompt has tokens, none will."""

    prompt: str
    links: list[Link] = field(default_factory=list)
    steps: int = 0
    last: int | None = None
    spent: Spent = field(default_factory=Spent)
    dearest: Spent = field(default_factory=Spent)
    idle: int = 0
    stuck: bool = False

    def take(self, line: Json, unit: str) -> None:
        """One step more, as it is written down; of one that was cut off, its cost alone."""
        cost = Spent(**line["spent"])
        self.spent.add(cost.calls, cost.tokens, cost.seconds)
        self.dearest = max(self.dearest, cost, key=lambda each: float(getattr(each, unit)))
        if "prompt" in line:
            before, self.prompt = self.prompt, line["prompt"]
            self.steps, self.last = self.steps + 1, line["place"]
            self.idle = 0 if cost.calls or cost.tokens else self.idle + 1
            self.stuck = self.idle > len(line["tokens"])
            if self.prompt != before:
                self.links += [link(tried) for tried in line["tried"] if tried["prompt"] == self.prompt]


async def optimise(
    engine: TorchLM,
    problem: Problem,
    settings: TuneSettings,
    store: TuneDir,
    watch: Callable[[Progress], None] = lambda progress: None,
) -> Tuned:
    """Steps over the prompt's tokens, from left to right and round again, while the budget affords the next: the most
    that it may cost in calls or tokens, in seconds as dear as the dearest so far, and until a round of them has nothing
    to try; then the judgement. A step in which the seconds run out is dropped; a larger budget takes it again. Raises
    ConfigError for what cannot work before a token is spent, calls or tokens below one step among it, and StoreError as
    runs do; no row that fails raises."""
    stepper = steps_of(engine, problem.task, problem.learn, settings.step, settings.terms, settings.seed)
    budget, begun = settings.budget, settings.beginning
    budget.check(stepper.most(begun))
    with store.claimed(settings.to_json(problem, engine.card.name), environment({"main": engine.card})):
        state = _State(begun)
        for line in (*store.lines(STEPS), *store.lines(CUT)):
            state.take(line, budget.unit)
        while not state.stuck and budget.begins(state.spent, stepper.most(state.prompt), state.dearest):
            began, number = time.perf_counter(), state.steps
            place = stepper.place(number, state.last, state.prompt)
            try:
                async with asyncio.timeout(budget.patience(state.spent)):
                    found = await stepper.step(number, state.prompt, place)
            except TimeoutError:
                line = cut_to_json(number, time.perf_counter() - began)
                store.append(CUT, line)
                state.take(line, budget.unit)
                break
            cost = replace(found.spent, seconds=time.perf_counter() - began)
            line = step_to_json(number, place, found, cost, _pieces(engine, state.prompt))
            store.append(STEPS, line)
            state.take(line, budget.unit)
            watch(Progress(state.steps, state.prompt, budget.spent(state.spent), budget.ceiling, *found.share))
        most = most_finalists(settings.step)
        short = settings.step.shorter is not None
        texts = (on_the_front if short else most_accurate)(begun, state.links, most)
        searched = Searched(tuple(texts), state.steps, state.spent)
        return await conclude(engine, problem, settings, store, searched, watch)


@dataclass(frozen=True, slots=True)
class Searched:
    """What a search leaves to be judged: the initial prompt, then others; and what it took."""

    finalists: tuple[str, ...]
    steps: int
    spent: Spent


async def conclude(
    engine: Engine,
    problem: Problem,
    settings: TuneSettings,
    store: TuneDir,
    searched: Searched,
    watch: Callable[[Progress], None] = lambda progress: None,
) -> Tuned:
    """The judgement, written down: whatever found the finalists, a prompt comes out only with a gain that is shown.
    `watch` is told before each of them. Cost: a draw for each question that judges and each finalist that was not
    judged before."""
    texts, measured, budget = searched.finalists, list[Measured](), settings.budget
    for text in texts:
        told = Progress(searched.steps, text, budget.spent(searched.spent), budget.ceiling)
        watch(replace(told, judged=len(measured), finalists=len(texts)))
        measured.append(await judged(engine, problem, settings, store, text))
    clusters = [item.cluster for item in problem.judge]
    tuned = _tuned(measured, clusters, searched.steps, searched.spent)
    store.write(RESULT, tuned_to_json(tuned))
    return tuned


def _pieces(engine: TorchLM, prompt: str) -> list[str]:
    tokenizer = engine.tokenizer()
    return pieces(tokenizer, placed(tokenizer, "?", prompt).prompt)


def most_finalists(step: StepSettings) -> int:
    """Prompts besides the initial one that are judged at most."""
    return ON_THE_FRONT if step.shorter else FINALISTS


async def judged(
    engine: Engine, problem: Problem, settings: TuneSettings, store: TuneDir, text: str, *, test: bool = False
) -> Measured:
    """A prompt on the rows that judge, or those of the test, all prompts under the same dice; what was judged before is
    not again. A row that failed counts as the longest there may be, and took as long as any: what fails must not look
    short or fast."""
    kept, items, dice = (TEST, problem.test, 2) if test else (DEV, problem.judge, 1)
    rows_of = digest(items)
    for line in store.lines(kept):
        if (line["prompt"], line["of"]) == (text, rows_of):
            return _measured(line)

    def asked(item: Item) -> Prompt:
        return messages(item.question, text)

    sampling = settings.step.sampling
    rows = await generated(engine, problem.task, items, asked, sampling, settings.seed + dice)
    slowest = max(row.seconds for row in rows)
    line = {
        "prompt": text,
        "of": rows_of,
        "right": [row.right for row in rows],
        "tokens": [sampling.max_tokens if row.failure else row.tokens for row in rows],
        "seconds": [round(slowest if row.failure else row.seconds, 4) for row in rows],
    }
    store.append(kept, line)
    return _measured(line)


def _measured(line: Json) -> Measured:
    return Measured(line["prompt"], tuple(line["right"]), tuple(line["tokens"]), tuple(line["seconds"]))


def _tuned(measured: Sequence[Measured], clusters: Sequence[str], steps: int, spent: Spent) -> Tuned:
    first, *others = measured
    found = gain(first, others, clusters)
    best = found.best.name if found.shown else first.name
    return Tuned(first.name, best, found, tuple(archived(measured).front()), tuple(measured), steps, spent)
