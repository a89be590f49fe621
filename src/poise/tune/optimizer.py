"""An optimisation from an initial prompt to one whose gain is shown, or back to the initial one.

    tune.json      the settings; a run cannot go on under others
    steps.jsonl    one line a step: what was tried, what was accepted, what it cost
    dev.jsonl      one line a prompt that was judged at the end, with the outcome of every row
    result.json    what came of it

Step n depends on the seed, its number and the prompt before it alone, so a run that was killed goes on as if it had not
been.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from poise.core import Prompt
from poise.errors import ConfigError
from poise.evals.rows import Interval, Item
from poise.evals.stats import resample
from poise.evals.tasks import Task
from poise.records import Json
from poise.store.environment import environment
from poise.store.run_dir import RunDir
from poise.tune.archive import Archive, Measured, Placed
from poise.tune.budget import Spent, TuneBudget
from poise.tune.generate import generated
from poise.tune.placing import messages, pieces, placed
from poise.tune.rows import LossTerms
from poise.tune.step import Stepped, Stepper, StepSettings

if TYPE_CHECKING:
    from poise.engines.torch_lm import TorchLM

STEPS, DEV, RESULT = "steps.jsonl", "dev.jsonl", "result.json"
FINALISTS = 5
"""Prompts besides the initial one that are judged at the end: the last that were accepted."""


def initial() -> str:
    """The prompt to begin with where none is given: zero-shot chain of thought (Kojima et al. 2022, 2205.11916)."""
    return Path(__file__).with_name("initial.txt").read_text(encoding="utf-8").strip()


class TuneDir(RunDir):
    """The directory of an optimisation."""

    settings_file: ClassVar[str] = "tune.json"
    line_files: ClassVar[tuple[str, ...]] = (STEPS, DEV)


@dataclass(frozen=True, slots=True)
class Progress:
    """After a step: its number, the prompt, what was spent of the budget's ceiling, and how many of its `rows` the
    prompt before it got `right`. In the end, `judged` of so many `finalists` are, and `prompt` is the next of them."""

    step: int
    prompt: str
    spent: float
    ceiling: float
    right: int = 0
    rows: int = 0
    judged: int | None = None
    finalists: int = 0


@dataclass(frozen=True, slots=True)
class Tuned:
    """`best` is the initial prompt unless another one's accuracy on the rows that judge is above it by an interval
    (95 %, paired bootstrap) that excludes 0. `gain`: of the most accurate finalist, shown or not. `pareto_front`: all
    finalists that none surely beats. `steps`: how many were taken."""

    initial: str
    best: str
    gain: Interval
    pareto_front: tuple[Placed, ...]
    detailed_results: tuple[Measured, ...]
    steps: int
    spent: Spent

    @property
    def shown(self) -> bool:
        """Whether anything was gained, as far as can be told."""
        return self.best != self.initial


@dataclass(frozen=True, slots=True)
class Problem:
    """A task, questions of it to `learn` from, and others that `judge`. Raises ConfigError where a set is empty or they
    share a question."""

    task: Task
    learn: tuple[Item, ...]
    judge: tuple[Item, ...]

    def __post_init__(self) -> None:
        for name in ("learn", "judge"):
            if not getattr(self, name):
                raise ConfigError(name, 0, "at least one question")
        if shared := {item.id for item in self.learn} & {item.id for item in self.judge}:
            raise ConfigError("judge", sorted(shared)[0], "questions that are not learnt from")


@dataclass(frozen=True, slots=True)
class TuneSettings:
    """The prompt to begin with, what may be spent, how a step is taken, the loss, and the seed."""

    initial: str
    budget: TuneBudget
    step: StepSettings = StepSettings()
    terms: LossTerms = LossTerms()
    seed: int = 0

    def to_json(self, problem: Problem, model: str) -> Json:
        """Everything that decides the outcome but the ceiling of the budget, which may be raised."""
        return {
            "version": 1,
            "task": problem.task.name,
            "learn": [item.id for item in problem.learn],
            "judge": [item.id for item in problem.judge],
            "initial": self.initial,
            "unit": self.budget.unit,
            "step": {**asdict(self.step), "by": self.step.by.value},
            "terms": asdict(self.terms),
            "seed": self.seed,
            "model": model,
        }


@dataclass(slots=True)
class _State:
    """Where a run stands: the prompt, those accepted so far, steps, what was spent, and the dearest step."""

    prompt: str
    accepted: list[str]
    steps: int = 0
    spent: Spent = field(default_factory=Spent)
    dearest: Spent = field(default_factory=Spent)

    def take(self, prompt: str, cost: Spent, unit: str) -> None:
        """One step more."""
        self.prompt, self.steps = prompt, self.steps + 1
        self.accepted += [prompt] if prompt != self.accepted[-1] else []
        self.spent.add(cost.calls, cost.tokens, cost.seconds)
        self.dearest = max(self.dearest, cost, key=lambda each: float(getattr(each, unit)))

    def progress(self, budget: TuneBudget, right: int = 0, rows: int = 0) -> Progress:
        """To tell whoever watches."""
        return Progress(self.steps, self.prompt, budget.ceiling - budget.left(self.spent), budget.ceiling, right, rows)


async def optimise(
    engine: TorchLM,
    problem: Problem,
    settings: TuneSettings,
    store: TuneDir,
    watch: Callable[[Progress], None] = lambda progress: None,
) -> Tuned:
    """Steps from left to right over the prompt's tokens and round again, while the budget affords the next (as dear as
    the dearest so far), then the judgement. Raises ConfigError for what cannot work before a token is spent, and
    StoreError as runs do; no row that fails raises."""
    stepper = Stepper(engine, problem.task, problem.learn, settings.step, settings.terms, settings.seed)
    budget, question = settings.budget, problem.learn[0].question
    placed(engine.tokenizer(), question, settings.initial)
    with store.claimed(settings.to_json(problem, engine.card.name), environment({"main": engine.card})):
        state = _State(settings.initial, [settings.initial])
        for line in store.lines(STEPS):
            state.take(line["prompt"], Spent(**line["spent"]), budget.unit)
        while budget.affords(state.spent, state.dearest) and budget.left(state.spent) > 0:
            began, number = time.perf_counter(), state.steps
            own = placed(engine.tokenizer(), question, state.prompt).prompt
            place = number % len(own)
            found = await stepper.step(number, state.prompt, place)
            cost = replace(found.spent, seconds=time.perf_counter() - began)
            store.append(STEPS, _step_to_json(number, place, found, cost) | {"tokens": pieces(engine.tokenizer(), own)})
            state.take(found.prompt, cost, budget.unit)
            watch(state.progress(budget, sum(found.raced), len(found.raced)))
        texts, measured = _finalists(settings.initial, state.accepted), list[Measured]()
        for text in texts:
            told = state.progress(budget)
            watch(replace(told, prompt=text, judged=len(measured), finalists=len(texts)))
            measured.append(await _judged(engine, problem, settings, store, text))
        tuned = _tuned(settings.initial, measured, state.steps, state.spent)
        store.write(RESULT, _tuned_to_json(tuned))
    return tuned


def _finalists(initial: str, accepted: Sequence[str]) -> list[str]:
    """The initial prompt, and the last that were accepted, each once."""
    others = list(dict.fromkeys(text for text in reversed(accepted) if text != initial))
    return [initial, *others[:FINALISTS]]


async def _judged(engine: TorchLM, problem: Problem, settings: TuneSettings, store: TuneDir, text: str) -> Measured:
    """A finalist on the rows that judge, all finalists under the same dice; what was judged before is not again."""
    for line in store.lines(DEV):
        if line["prompt"] == text:
            return _measured(line)

    def asked(item: Item) -> Prompt:
        return messages(item.question, text)

    rows = await generated(engine, problem.task, problem.judge, asked, settings.step.sampling, settings.seed + 1)
    line = {
        "prompt": text,
        "right": [row.right for row in rows],
        "tokens": [row.tokens for row in rows],
        "seconds": [round(row.seconds, 4) for row in rows],
    }
    store.append(DEV, line)
    return _measured(line)


def _measured(line: Json) -> Measured:
    return Measured(line["prompt"], tuple(line["right"]), tuple(line["tokens"]), tuple(line["seconds"]))


def _tuned(initial: str, measured: Sequence[Measured], steps: int, spent: Spent) -> Tuned:
    archive = Archive()
    for one in measured:
        archive.add(one)
    first, *others = measured
    best = max(others, key=lambda one: (one.accuracy, -one.cost), default=first)
    rows = len(first.right)
    columns = np.array([best.right, first.right, [1] * rows], float).T
    gain = resample(columns, range(rows)).difference(0, 1, 2)
    chosen = best.name if gain.low > 0 else initial
    return Tuned(initial, chosen, gain, tuple(archive.front()), tuple(measured), steps, spent)


def _step_to_json(number: int, place: int, found: Stepped, spent: Spent) -> Json:
    return {
        "step": number,
        "place": place,
        "prompt": found.prompt,
        "accepted": found.accepted.source.value if found.accepted else None,
        "tried": [
            {
                "prompt": tried.prompt,
                "kind": tried.edit.kind.value,
                "source": tried.edit.source.value,
                "slope": tried.edit.slope,
                "wins": tried.standing.wins,
                "losses": tried.standing.losses,
                "rows": tried.standing.rows,
            }
            for tried in found.tried
        ],
        "failed": found.failed,
        "right": sum(found.raced),
        "rows": len(found.raced),
        "spent": {"calls": spent.calls, "tokens": spent.tokens, "seconds": round(spent.seconds, 3)},
    }


def _tuned_to_json(tuned: Tuned) -> Json:
    return {
        "initial": tuned.initial,
        "best": tuned.best,
        "shown": tuned.shown,
        "gain": [tuned.gain.mean, tuned.gain.low, tuned.gain.high],
        "steps": tuned.steps,
        "prompts": [
            {"prompt": one.name, "accuracy": one.accuracy, "tokens": one.cost, "n": len(one.right)}
            for one in tuned.detailed_results
        ],
        "front": [placed.measured.name for placed in tuned.pareto_front],
    }
