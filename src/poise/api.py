"""The facade: `poise.solve(...)` and `await poise.asolve(...)`."""

from __future__ import annotations

import asyncio

from poise.config import EngineSpec, engine_of, strategy_of
from poise.connect import connect
from poise.control.features import kind_of
from poise.control.planner import plan
from poise.core import Goal, Request
from poise.costs import Budget
from poise.errors import ConfigError
from poise.run import solve as carry_out
from poise.scorers import Scorers
from poise.seams import Engine
from poise.trace import Answer, Trace


async def asolve(
    question: str | Request,
    *,
    strategy: str | None = None,
    deadline: float | None = None,
    engine: str | Engine = "default",
    seed: int = 0,
    trace: Trace | None = None,
) -> Answer:
    """Answer one question. `question`: text, or a Request for full control of kind, sampling and goal; `strategy`: such
    as "self_consistency:n=8", or None to let Poise decide; `deadline`: seconds; `engine`: a model for llama.cpp, the
    URL of a server as "URL MODEL", or an Engine, which is then left open for the next call.

    Raises ConfigError before anything is spent, ModelError where weights cannot be had, NoAnswer without a draft."""
    _check(question, strategy, deadline, engine, seed)
    request = question if isinstance(question, Request) else Request.ask(question, kind_of(question))
    if deadline is not None:
        goal = Goal(request.goal.budget.meet(Budget(seconds=deadline)), request.goal.confidence)
        request = Request(request.messages, request.kind, request.sampling, goal, request.tags)
    chosen, scorer = strategy_of(strategy) if strategy else (None, None)
    live = engine_named(engine) if isinstance(engine, str) else engine
    try:
        decided = plan(request, strategy=chosen, engine=live.name, scorer=scorer, card=live.card)
        return await carry_out(request, decided, {live.name: live}, Scorers(), seed, trace)
    finally:
        if isinstance(engine, str):
            await live.aclose()


def _check(question: object, strategy: object, deadline: object, engine: object, seed: object) -> None:
    """Refuse what has another type, by its name."""
    numbers = isinstance(deadline, (int, float)) and not isinstance(deadline, bool)
    for name, value, fits, allowed in (
        ("question", question, isinstance(question, (str, Request)), "a text or a Request"),
        ("strategy", strategy, strategy is None or isinstance(strategy, str), 'text such as "self_consistency:n=8"'),
        ("deadline", deadline, deadline is None or numbers, "seconds, as a number"),
        (
            "engine",
            engine,
            isinstance(engine, str) or hasattr(engine, "stream"),
            "the name of a model, a URL, or an Engine",
        ),
        ("seed", seed, isinstance(seed, int) and not isinstance(seed, bool), "a whole number"),
    ):
        if not fits:
            raise ConfigError(name, value, allowed)


def engine_named(engine: str) -> Engine:
    """The engine that a word or "URL MODEL" names; see `asolve`. Raises ConfigError, ModelError."""
    return connect(spec_named(engine))


def spec_named(engine: str) -> EngineSpec:
    """Which engine that is, without opening it. Raises ConfigError."""
    word, _, model = engine.partition(" ") if engine.startswith(("http://", "https://")) else (engine, "", "")
    return engine_of(word, model)


def solve(
    question: str | Request,
    *,
    strategy: str | None = None,
    deadline: float | None = None,
    engine: str | Engine = "default",
    seed: int = 0,
) -> Answer:
    """`asolve` for code that is not async; see there. Raises ConfigError inside a running event loop."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(asolve(question, strategy=strategy, deadline=deadline, engine=engine, seed=seed))
    raise ConfigError("poise.solve", "a running event loop", "`await poise.asolve(...)` there")
