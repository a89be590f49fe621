"""The facade of prompt tuning, in the idiom of prompt optimisers: an optimizer of a metric compiles a prompt."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from contextlib import asynccontextmanager
from dataclasses import KW_ONLY, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from poise.api import engine_named, spec_named
from poise.core import Ability
from poise.errors import ConfigError, UnknownName
from poise.evals.tasks import Task
from poise.prompts import PromptFile
from poise.seams import Engine
from poise.tune.archive import Objective, archived
from poise.tune.budget import TuneBudget
from poise.tune.compiled import Compiled, Emitted, starting
from poise.tune.emit import REFLECTION, source_of, tidy
from poise.tune.estimate import Estimate, estimate, estimate_evolving
from poise.tune.evolve import GEPA, EvolveDir, evolve, require_gepa
from poise.tune.examples import problem_of, read, task_of
from poise.tune.headroom import DRAWS, ROWS, Headroom, headroom
from poise.tune.lengths import Shorter
from poise.tune.metric import Metric
from poise.tune.optimizer import Progress, TuneDir, TuneSettings, optimise
from poise.tune.phrases import load_phrases
from poise.tune.pick import Pick, Wish
from poise.tune.problem import Problem
from poise.tune.reflect import Reflection
from poise.tune.rows import LossTerms
from poise.tune.shortlist import By
from poise.tune.step import StepSettings
from poise.tune.tested import on_test

if TYPE_CHECKING:
    from poise.engines.torch_lm import TorchLM

T = TypeVar("T")
WAYS = (*(way.value for way in By), GEPA)
"""How edits can be found, as `by` and --by name it."""
_WITH_WEIGHTS = ("torch", "quiet-star")


@dataclass(frozen=True, slots=True)
class Optimizer:
    """Looks for a prompt, behind the question, that an engine answers better with.

    `metric`: a task (or its `grade`), or a callable metric(example, prediction, trace=None) to a truth value or a
    number from 0 to 1, of which .5 and more counts as right; a row that it raises for counts as failed; it is called
    for one row at a time. `engine`: a word such as "torch:default", "URL MODEL", or an Engine, which is then left open.
    `budget`: one of calls, tokens and seconds, for the search; the judgement comes on top (see `estimate`).
    `objectives`: what the front trades: accuracy, tokens, seconds. `run_dir`: an unfinished run there is gone on with.
    `by`: mixed, gradient, likelihood, random, or greater (steps as published), for engines with weights (as `step`
    says, if empty); or gepa for any, with `reflection` as the engine that proposes (the same, if it is None).
    `shorter`: the search looks for shorter answers too, with `phrases` from a TOML file (the bank of the package, if it
    is None), and a number {n} in the prompt is searched. `pick`: what the prompt file gets: best, knee, max_drop=SHARE
    or latency=SECONDS. `step`, `terms`: knobs of the search (terms None: those of its objectives).

    The methods raise ConfigError for what cannot work before anything is spent, ModelError where weights cannot be had,
    StoreError where the run directory cannot be written. Each has a twin for async code: `acompile`, `aheadroom`,
    `aestimate`."""

    metric: Task | Metric
    _: KW_ONLY
    engine: str | Engine
    budget: TuneBudget
    objectives: tuple[Objective | str, ...] = (Objective.ACCURACY, Objective.TOKENS)
    seed: int = 0
    run_dir: str | os.PathLike[str] = "runs/tune"
    by: str = ""
    shorter: bool = False
    phrases: str | os.PathLike[str] | None = None
    pick: str = Wish.BEST.value
    reflection: str | Engine | None = None
    step: StepSettings = StepSettings()
    terms: LossTerms | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.budget, TuneBudget):
            raise ConfigError(
                "budget", self.budget, "TuneBudget(calls=N), TuneBudget(tokens=N) or TuneBudget(seconds=N)"
            )
        objectives, step = Objective.named(self.objectives), self._steps()
        Pick.read(self.pick)
        if step.shorter and Objective.TOKENS not in objectives:
            raise ConfigError("objectives", [each.value for each in objectives], "tokens among them, with shorter")
        if self.reflection is not None and self.by != GEPA:
            raise ConfigError("reflection", self.reflection, f"nothing, unless by = {GEPA!r} (--by {GEPA})")
        if self.by == GEPA:
            require_gepa()
        else:
            check_weights(self.engine)

    async def acompile(
        self,
        program: str | PromptFile | object = "",
        *,
        trainset: Iterable[Any],
        valset: Iterable[Any] | None = None,
        testset: Iterable[Any] | None = None,
        watch: Callable[[Progress], None] = lambda progress: None,
    ) -> Compiled:
        """Search, judge, and give the best prompt with a gain that is shown, or the one to begin with; its file is that
        of `pick`, which raises ConfigError where no prompt can be it (once more with another pick asks nothing anew).
        `program`: the text to begin with, a prompt file of Poise, or a program whose `signature.instructions` are it
        (dspy.Predict); zero-shot chain of thought if empty. `trainset`, `valset`: dspy's examples, mappings or Items
        with question and answer; without a valset half of the trainset judges. `testset`: other questions, which the
        prompt that is picked and the one to begin with are asked once, in the end, where they differ; what the file
        says of its prompt is then of these, which choosing has not flattered. `watch` is told after every step."""
        problem, settings = self._asked(program, trainset, valset, testset)
        async with opened(self.engine) as engine:
            if self.by == GEPA:
                async with opened(self._reflects(engine)) as reflects:
                    store, source = EvolveDir(self.run_dir), REFLECTION
                    tuned = await evolve(engine, Reflection(reflects), problem, settings, store, watch)
            else:
                source = source_of(settings.step)
                tuned = await optimise(with_weights(engine), problem, settings, TuneDir(self.run_dir), watch)
            begun = program if isinstance(program, PromptFile) else None
            emitted = Emitted(Path(self.run_dir), engine.card.name, problem.task.name, source, begun)
            archive, wish = archived(tuned.detailed_results, Objective.named(self.objectives)), Pick.read(self.pick)
            picked = wish.of(archive, tuned.judged_best)
            told = await on_test(engine, problem, settings, TuneDir(self.run_dir), picked.name, watch)
            return Compiled(tuned, archive, picked, emitted.write(picked, tuned.initial, wish.told(), told), told)

    def compile(
        self,
        program: str | PromptFile | object = "",
        *,
        trainset: Iterable[Any],
        valset: Iterable[Any] | None = None,
        testset: Iterable[Any] | None = None,
        watch: Callable[[Progress], None] = lambda progress: None,
    ) -> Compiled:
        """`acompile` for code that is not async."""
        return _here(
            lambda: self.acompile(program, trainset=trainset, valset=valset, testset=testset, watch=watch), "acompile"
        )

    async def aheadroom(
        self,
        program: str | PromptFile | object = "",
        *,
        trainset: Iterable[Any],
        rows: int = ROWS,
        draws: int = DRAWS,
    ) -> Headroom:
        """Whether there is anything to gain, by `draws` draws of each of `rows` examples and a greedy one. Cost:
        draws + 1 calls a row, none of them of the budget."""
        examples, settings = read(trainset, "trainset"), self._settings(program)
        task, items = task_of(self.metric, examples), [each.item for each in examples]
        chosen = random.Random(self.seed).sample(items, max(0, min(rows, len(items))))
        async with opened(self.engine) as engine:
            return await headroom(engine, task, chosen, settings, draws)

    def headroom(
        self,
        program: str | PromptFile | object = "",
        *,
        trainset: Iterable[Any],
        rows: int = ROWS,
        draws: int = DRAWS,
    ) -> Headroom:
        """`aheadroom` for code that is not async."""
        return _here(lambda: self.aheadroom(program, trainset=trainset, rows=rows, draws=draws), "aheadroom")

    async def aestimate(
        self,
        program: str | PromptFile | object = "",
        *,
        trainset: Iterable[Any],
        valset: Iterable[Any] | None = None,
        testset: Iterable[Any] | None = None,
    ) -> Estimate:
        """What the budget will mean. Cost: one small step, not of the budget."""
        problem, settings = self._asked(program, trainset, valset, testset)
        async with opened(self.engine) as engine:
            if self.by != GEPA:
                return await estimate(with_weights(engine), problem, settings)
            async with opened(self._reflects(engine)) as reflects:
                return await estimate_evolving(engine, Reflection(reflects), problem, settings)

    def estimate(
        self,
        program: str | PromptFile | object = "",
        *,
        trainset: Iterable[Any],
        valset: Iterable[Any] | None = None,
        testset: Iterable[Any] | None = None,
    ) -> Estimate:
        """`aestimate` for code that is not async."""
        return _here(lambda: self.aestimate(program, trainset=trainset, valset=valset, testset=testset), "aestimate")

    def _asked(
        self,
        program: object,
        trainset: Iterable[Any],
        valset: Iterable[Any] | None,
        testset: Iterable[Any] | None = None,
    ) -> tuple[Problem, TuneSettings]:
        problem = problem_of(self.metric, trainset, valset, self.seed, testset)
        return problem, self._settings(program)

    def _settings(self, program: object) -> TuneSettings:
        initial, step, terms = tidy(starting(program)), self._steps(), self.terms
        if terms is None:
            terms = LossTerms.shorter() if step.shorter else LossTerms()
        return TuneSettings(initial, self.budget, step, terms, self.seed)

    def _steps(self) -> StepSettings:
        """How steps are taken. Raises ConfigError for ways that know no other objective, DataError for a bank that
        cannot be read."""
        step = step_by(self.by, self.step)
        length = (step.shorter or Shorter()) if self.shorter else step.shorter
        if length and self.by == GEPA:
            raise ConfigError("shorter", self.by, f"another way than {GEPA}, which knows accuracy alone")
        if self.phrases is not None:
            if length is None:
                raise ConfigError("phrases", str(self.phrases), "nothing, unless with shorter=True (--shorter)")
            length = replace(length, phrases=load_phrases(Path(self.phrases)))
        return replace(step, shorter=length)

    def check(
        self,
        program: str | PromptFile | object = "",
        *,
        trainset: Iterable[Any],
        valset: Iterable[Any] | None = None,
        testset: Iterable[Any] | None = None,
    ) -> None:
        """Raise ConfigError for sets that `compile` would refuse. Nothing is opened or asked."""
        self._asked(program, trainset, valset, testset)

    def beginning(self, program: str | PromptFile | object = "") -> str:
        """The text that a search begins with, its slots filled. Raises ConfigError as `compile` does."""
        return self._settings(program).beginning

    def _reflects(self, engine: Engine) -> str | Engine:
        return engine if self.reflection is None else self.reflection


def step_by(name: str, step: StepSettings) -> StepSettings:
    """The settings of a step with the way that a word names; as they are for gepa, or nothing. Raises UnknownName."""
    if name and name not in WAYS:
        raise UnknownName("by", name, WAYS)
    return replace(step, by=By(name)) if name not in ("", GEPA) else step


def check_weights(engine: str | Engine) -> None:
    """Raise ConfigError, which says what else would do, for an engine that gradients cannot be taken of."""
    if isinstance(engine, str):
        named, weights = engine, spec_named(engine).kind in _WITH_WEIGHTS
    else:
        named, weights = str(getattr(engine, "name", engine)), Ability.WHITE_BOX in getattr(engine, "can", ())
    if not weights:
        raise _weightless(named)


def with_weights(engine: Engine) -> TorchLM:
    """An engine that gradients can be taken of, as what it is. Raises ConfigError for another."""
    check_weights(engine)
    from poise.engines.torch_lm import TorchLM

    if not isinstance(engine, TorchLM):
        raise _weightless(engine.name)
    return engine


def _weightless(engine: str) -> ConfigError:
    allowed = f"one with weights (torch, or torch:MODEL), or --by {GEPA} (by={GEPA!r}), which any engine will do for"
    return ConfigError("engine", engine, allowed)


@asynccontextmanager
async def opened(engine: str | Engine) -> AsyncIterator[Engine]:
    """An engine by its word, closed in the end; a live one, left open. Raises ConfigError, ModelError."""
    if not isinstance(engine, str) and not hasattr(engine, "stream"):
        raise ConfigError("engine", engine, "the name of a model, a URL, or an Engine")
    live = engine_named(engine) if isinstance(engine, str) else engine
    try:
        yield live
    finally:
        if isinstance(engine, str):
            await live.aclose()


def _here(work: Callable[[], Coroutine[Any, Any, T]], twin: str) -> T:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work())
    raise ConfigError("poise.tune.Optimizer", "a running event loop", f"`await optimizer.{twin}(...)` there")
