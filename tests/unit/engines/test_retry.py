import asyncio

import pytest
from fakes import WHOLE, Planned
from loopback import drawn, failed

from poise.core import Delta, Message, Role, Sampling
from poise.costs import Overrun
from poise.engines.retry import retrying
from poise.errors import (
    ConfigError,
    EngineError,
    EngineOverloaded,
    EngineRefused,
    EngineSilent,
    EngineUnreachable,
)
from poise.testing import virtual

ASKED = (Message(Role.USER, "?"),)
SAMPLING = Sampling(seed=1)


def timed(engine, error=None, sampling=SAMPLING):
    """(deltas or the failure, overrun, virtual seconds) of one draw."""

    async def run():
        clock = asyncio.get_running_loop().time
        began = clock()
        if error:
            return await failed(engine.stream(ASKED, sampling), error), None, clock() - began
        return *await drawn(engine.stream(ASKED, sampling)), clock() - began

    return virtual(run())


def test_a_call_that_works_is_made_once():
    engine = Planned(WHOLE)
    deltas, overrun, seconds = timed(retrying(engine))
    assert (deltas, overrun, seconds) == (list(WHOLE), Overrun(), 0.0)
    assert (engine.calls, engine.closed) == (1, 1)


@pytest.mark.parametrize(
    "failure", [EngineError("5"), EngineSilent("s"), EngineUnreachable("u"), EngineOverloaded("o")]
)
def test_a_call_that_fails_before_it_begins_is_made_again(failure):
    engine = Planned((failure,), (failure,), WHOLE, overrun=Overrun(2, exact=False))
    deltas, overrun, seconds = timed(retrying(engine))
    assert deltas == list(WHOLE)
    assert overrun == Overrun(6, exact=False)
    assert (engine.calls, engine.closed) == (3, 3)
    assert 0.75 * (0.25 + 0.5) <= seconds <= 1.25 * (0.25 + 0.5)


def test_attempts_are_counted():
    engine = Planned((EngineError("first"),), (EngineError("second"),), WHOLE)
    failure, _, _ = timed(retrying(engine, attempts=2), EngineError)
    assert (str(failure), engine.calls) == ("second", 2)
    timed(retrying(engine := Planned((EngineError("x"),)), attempts=1), EngineError)
    assert engine.calls == 1


@pytest.mark.parametrize("plan", [(EngineRefused("no"),), (Delta("a", 1), EngineUnreachable("broke"))])
def test_some_calls_are_never_made_again(plan):
    engine = Planned(plan, WHOLE)
    _, _, seconds = timed(retrying(engine), EngineError)
    assert (engine.calls, seconds) == (1, 0.0)


def test_the_server_says_how_long():
    engine = Planned((EngineOverloaded("o", 7.0),), WHOLE)
    assert timed(retrying(engine))[2] == pytest.approx(7.0)
    engine = Planned((EngineOverloaded("o", 0.01),), WHOLE)
    assert timed(retrying(engine))[2] >= 0.75 * 0.25
    engine = Planned((EngineOverloaded("o", 31.0),), WHOLE)
    _, _, seconds = timed(retrying(engine), EngineOverloaded)
    assert (engine.calls, seconds) == (1, 0.0)


def test_jitter_repeats_for_a_draw_and_differs_between_draws():
    def seconds(seed):
        return timed(retrying(Planned((EngineError("x"),), WHOLE)), sampling=Sampling(seed=seed))[2]

    assert seconds(1) == seconds(1)
    assert len({round(seconds(seed), 6) for seed in range(8)}) == 8


def test_a_wait_can_be_cancelled():
    async def run():
        engine = Planned((EngineOverloaded("o", 20.0),), WHOLE)
        stream = retrying(engine).stream(ASKED, SAMPLING)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1.0):
                await anext(aiter(stream))
        assert await stream.aclose() == Overrun()
        assert (engine.calls, engine.closed) == (1, 1)

    virtual(run())


def test_closing_early_closes_the_call_beneath():
    async def run():
        engine = Planned(WHOLE, overrun=Overrun(5))
        stream = retrying(engine).stream(ASKED, SAMPLING)
        await anext(aiter(stream))
        assert await stream.aclose() == Overrun(5)
        assert engine.in_flight == 0

    virtual(run())


def test_all_else_is_passed_on():
    engine = Planned(WHOLE)
    wrapped = retrying(engine)
    assert (wrapped.name, wrapped.card, wrapped.can) == (engine.name, engine.card, engine.can)
    assert wrapped.load() == engine.load()
    virtual(wrapped.aclose())
    assert engine.plans == ()


def test_settings_that_cannot_work():
    with pytest.raises(ConfigError, match="attempts"):
        retrying(Planned(), attempts=0)
    with pytest.raises(ConfigError, match="base_seconds"):
        retrying(Planned(), base_seconds=-1)
