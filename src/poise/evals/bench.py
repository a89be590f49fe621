"""The benchmark: for each item and arm, solve, then grade.

- Items come one after the other, and the arms of an item side by side, in an order drawn for each item: drift of the
  machine, and prompts still cached from the arm before, fall on all arms alike.
- The run seed depends on the item and not on the arm. On engines with SEEDS, arms with the same prompt thus share their
  first draw (common random numbers): paired comparisons get sharper and favour no arm.
- A killed run loses only what was in flight. When it goes on, an answer without its grade is graded, not bought again;
  a question that failed (no engine, no model) is asked again, and its last row counts.
"""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeAlias

from poise import run
from poise.core import Goal, Request
from poise.draws import derived_seed
from poise.errors import ConfigError, StoreError
from poise.evals.bench_settings import BenchSettings
from poise.evals.grade import Question, fingerprint, questions_of
from poise.evals.joules import metered
from poise.evals.outcome import summary_of
from poise.evals.rows import Summary
from poise.evals.rows_json import summary_to_json
from poise.evals.session import Session, Watch
from poise.seams import Arm, Engine, Plan, Scorer
from poise.store.environment import environment
from poise.store.run_dir import SUMMARY, RunDir
from poise.trace import Answer, Trace

Solve: TypeAlias = Callable[[Request, Plan, Mapping[str, Engine], Mapping[str, Scorer], int, Trace], Awaitable[Answer]]


async def bench(
    settings: BenchSettings,
    engines: Mapping[str, Engine],
    scorers: Mapping[str, Scorer],
    store: RunDir,
    watch: Watch | None = None,
    solve: Solve = run.solve,
) -> Summary:
    """Answer every item by every arm, going on where `store` left off; `watch` is told after every question.

    Raises ConfigError before anything is spent, EngineError after too many questions in a row failed, and StoreError
    when the directory is in use or the disk full. However it ends (Ctrl-C too), what is finished is kept and summed
    up, and the same call goes on from there."""
    for arm in settings.arms:
        run.check(arm.plan, engines, scorers, arm.sampling)
    questions = questions_of(settings.tasks, settings.limit, settings.seed)
    slots = max(engines[name].load().slots for arm in settings.arms for _, name in arm.plan.engines)
    parallel = settings.parallel or slots or 8

    async def ask(question: Question, arm: Arm, trace: Trace) -> None:
        item = question.item
        request = Request.ask(item.question, item.kind, arm.sampling, Goal(arm.plan.budget))
        await solve(request, arm.plan, engines, scorers, derived_seed(settings.seed, item.id), trace)

    config = {**settings.to_json(engines), "items": fingerprint(question.item for question in questions.values())}
    facts = {**environment({name: engine.card for name, engine in engines.items()}), "parallel": parallel}
    with store.claimed(config, facts):
        try:
            async with metered(store):
                await Session(questions, settings.arms, store, ask, watch).run(parallel, settings.seed)
        except BaseException:
            with contextlib.suppress(StoreError, ConfigError):  # ConfigError: there is nothing to sum up
                _sum_up(store)
            raise
        return _sum_up(store)


def _sum_up(store: RunDir) -> Summary:
    summary = summary_of(store)
    store.write(SUMMARY, summary_to_json(summary))
    return summary
