"""Prompts for engines whose weights cannot be had: reflective prompt evolution by the package gepa (Agrawal et al.
2025, arXiv 2507.19457) under our metric, seeds, budget and run directory, and judged as every other search is.

Half of the questions to learn from tell the model that reflects what goes wrong, the other half keep the pool of
prompts that are best at something. The package's own checkpoints are not used: `calls.jsonl` has what was asked and
told, and the search is run again over it, which costs nothing and comes to the same place.
"""

from __future__ import annotations

import asyncio
import importlib.util
import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib import metadata
from typing import Any, ClassVar

from poise.errors import ConfigError
from poise.evals.rows import Item
from poise.records import Json
from poise.seams import Engine
from poise.store.environment import environment
from poise.tune.budget import Spent
from poise.tune.emit import tidy
from poise.tune.journal import CALLS, Enough, Journal
from poise.tune.optimizer import Progress, Tuned, TuneDir, TuneSettings, conclude
from poise.tune.problem import Problem
from poise.tune.reflect import PROMPT, Asker, Reflection, parts
from poise.tune.rounds import Rounds

GEPA = "gepa"
_log = logging.getLogger(__name__)


class EvolveDir(TuneDir):
    """The directory of such a search; `calls.jsonl` is what it was told."""

    line_files: ClassVar[tuple[str, ...]] = (*TuneDir.line_files, CALLS)


async def evolve(
    engine: Engine,
    reflection: Reflection,
    problem: Problem,
    settings: TuneSettings,
    store: EvolveDir,
    watch: Callable[[Progress], None] = lambda progress: None,
) -> Tuned:
    """Rounds of reflection until the budget has no room for the next call, then the judgement. `settings.step` says how
    answers are drawn, and nothing else. Raises ConfigError for what cannot work before a token is spent (the extra
    `tune` is missing, the budget is below one round), EngineError where an engine stays away, and StoreError as runs
    do; no row that fails raises."""
    version = require_gepa()
    settings = replace(settings, initial=tidy(settings.initial))
    if not settings.initial:
        raise ConfigError("prompt", settings.initial, "text that is not empty")
    settings.budget.check(least(reflection, problem.learn, settings))
    told = _to_json(version, reflection, problem, settings, engine)
    with store.claimed(told, environment({"main": engine.card, "reflection": reflection.engine.card})):
        journal = Journal(store, settings.budget)
        asker = Asker(engine, reflection, problem, settings, journal)
        rounds = Rounds(asker, journal, settings.initial)
        asker.before = lambda: rounds.write(store, settings.budget, watch)
        await _searched(asker, rounds, reflection, settings)
        asker.before()
        return await conclude(engine, problem, settings, store, rounds.searched(), watch)


def require_gepa() -> str:
    """The version of the package, or ConfigError with the line that installs it."""
    if importlib.util.find_spec(GEPA) is None:
        raise ConfigError("by", "gepa is not installed", 'pip install "poise[tune]"')
    return metadata.version(GEPA)


def calls_of_round(reflection: Reflection, items: Sequence[Item]) -> tuple[int, int]:
    """At least (a prompt and its successor on a few questions, and the proposal), and at most (the successor is good
    enough to be asked all questions that keep the pool)."""
    fewest = 2 * reflection.rows + 1
    return fewest, fewest + len(parts(items)[1])


def least(reflection: Reflection, items: Sequence[Item], settings: TuneSettings) -> Spent:
    """What the initial prompt and one round take."""
    calls = len(parts(items)[1]) + calls_of_round(reflection, items)[0]
    return Spent(calls, (calls - 1) * settings.step.reasoning_tokens + reflection.tokens)


async def _searched(asker: Asker, rounds: Rounds, reflection: Reflection, settings: TuneSettings) -> None:
    """Run the search in a thread, to its end: where this is cancelled, it is stopped at its next call and waited for,
    since it writes into the run directory."""
    thread = asyncio.ensure_future(asyncio.to_thread(_run, asker, rounds, reflection, settings))
    try:
        await asyncio.shield(thread)
    finally:
        asker.stop()
        await asyncio.gather(thread, return_exceptions=True)


def _run(asker: Asker, rounds: Rounds, reflection: Reflection, settings: TuneSettings) -> None:
    from gepa import optimize

    reflect, pool = asker.parts
    try:
        optimize(
            {PROMPT: settings.initial},
            trainset=list(reflect),
            valset=list(pool),
            adapter=asker,
            reflection_lm=asker.reflect,
            reflection_minibatch_size=min(reflection.rows, len(reflect)),
            stop_callbacks=lambda state: asker.stopped,
            logger=_Quiet(),
            callbacks=[rounds],
            track_best_outputs=False,
            seed=settings.seed,
        )
    except Enough:
        return
    finally:
        asker.raise_error()


class _Quiet:
    """What the package says goes to the log, for operators."""

    def log(self, message: str) -> None:
        """One line of it."""
        _log.debug("%s", message)


def _to_json(
    version: str, reflection: Reflection, problem: Problem, settings: TuneSettings, engine: Engine
) -> dict[str, Any]:
    """Everything that decides the outcome but the ceiling of the budget. Another version of the package may search in
    another way, so a run does not go on under it."""
    told: Json = settings.to_json(problem, engine.card.name)
    del told["terms"]
    told["step"] = {
        "by": GEPA,
        "version": version,
        "reasoning_tokens": settings.step.reasoning_tokens,
        "temperature": settings.step.temperature,
    }
    told["reflection"] = {
        "model": reflection.engine.card.name,
        "rows": reflection.rows,
        "tokens": reflection.tokens,
        "temperature": reflection.temperature,
    }
    return told
