"""What a budget will mean, in steps, calls, tokens and hours, told before it is spent. Measured on one small step."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from poise.core import Prompt
from poise.errors import ConfigError
from poise.evals.rows import Item
from poise.seams import Engine
from poise.tune.budget import Spent, TuneBudget
from poise.tune.evolve import calls_of_round, least, require_gepa
from poise.tune.generate import generated
from poise.tune.optimizer import TuneSettings, most_finalists
from poise.tune.placing import messages
from poise.tune.problem import Problem
from poise.tune.reflect import Reflection, Seen, propose
from poise.tune.steppers import steps_of

if TYPE_CHECKING:
    from poise.engines.torch_lm import TorchLM


@dataclass(frozen=True, slots=True)
class Estimate:
    """Of a budget: `steps` at least and at most (a step whose race goes on to its end costs the most), `calls`,
    `tokens` and `hours` by what the measured calls took. `judging`: what comes on top of the budget, at most: every
    finalist on every question that judges. `measured`: what finding this out took."""

    steps: tuple[int, int]
    calls: int
    tokens: int
    hours: float
    judging: Spent
    measured: Spent

    def told(self) -> str:
        """In a sentence."""
        few, many = self.steps
        steps = f"{few:,}" if few == many else f"{few:,} to {many:,}"
        judging = f"{self.judging.calls:,} calls, {self.judging.tokens:,} tokens, {self.judging.seconds / 3600:.2g} h"
        spent = f"{self.calls:,} calls, {self.tokens:,} tokens, {self.hours:.2g} h"
        return f"about {steps} steps: {spent}; then at most {judging} to judge what was found"


def scaled(measured: Spent, budget: TuneBudget, calls: tuple[int, int], judging: int) -> Estimate:
    """The arithmetic: `measured` are the calls of a small step, `calls` those of a step at least and at most, `judging`
    those of the judgement. Pure."""
    if measured.calls < 1:
        raise ConfigError("measured", measured.calls, "at least one call")
    tokens, seconds = measured.tokens / measured.calls, measured.seconds / measured.calls
    each = {"calls": 1.0, "tokens": tokens, "seconds": seconds}[budget.unit]
    bought = int(budget.ceiling / each) if each else 0
    return Estimate(
        (bought // calls[1], bought // calls[0]),
        bought,
        round(bought * tokens),
        bought * seconds / 3600,
        Spent(judging, round(judging * tokens), judging * seconds),
        measured,
    )


async def estimate(engine: TorchLM, problem: Problem, settings: TuneSettings) -> Estimate:
    """For steps on an engine with weights: one step is taken whose race ends after its first block, and thrown
    away. Raises ConfigError as `optimise` does. Cost: that step."""
    step, race, begun, began = settings.step, settings.step.race, settings.beginning, time.perf_counter()
    short = replace(step, race=replace(race, most=min(race.block, race.most)))
    small, whole = (
        steps_of(engine, problem.task, problem.learn, each, settings.terms, settings.seed) for each in (short, step)
    )
    most = whole.most(begun)
    settings.budget.check(most)
    spent = (await small.step(0, begun, small.place(0, None, begun))).spent
    measured, calls = replace(spent, seconds=time.perf_counter() - began), (small.most(begun).calls, most.calls)
    return scaled(measured, settings.budget, calls, _judging(problem, settings))


async def estimate_evolving(
    engine: Engine, reflection: Reflection, problem: Problem, settings: TuneSettings
) -> Estimate:
    """For reflection: answers to as many questions as two blocks of a round, and one proposal, all thrown away. Raises
    ConfigError as `evolve` does, EngineError where the engine that reflects fails. Cost: those calls."""
    require_gepa()
    settings.budget.check(least(reflection, problem.learn, settings))
    items, began = [*problem.learn[: reflection.rows]] * 2, time.perf_counter()

    def asked(item: Item) -> Prompt:
        return messages(item.question, settings.initial)

    told = await generated(engine, problem.task, items, asked, settings.step.sampling, settings.seed)
    seen = [Seen(item, answer) for item, answer in zip(items, told, strict=True)][: reflection.rows]
    _, cost = await propose(reflection, settings.initial, seen, settings.seed)
    tokens = sum(each.tokens for each in told) + cost.tokens
    spent = Spent(len(told) + cost.calls, tokens, time.perf_counter() - began)
    return scaled(spent, settings.budget, calls_of_round(reflection, problem.learn), _judging(problem, settings))


def _judging(problem: Problem, settings: TuneSettings) -> int:
    return (1 + most_finalists(settings.step)) * len(problem.judge) + 2 * len(problem.test)
