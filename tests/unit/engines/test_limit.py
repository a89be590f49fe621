import asyncio

import pytest
from fakes import WHOLE, Planned
from loopback import drawn, failed

from poise.core import Delta, Message, Role, Sampling
from poise.costs import Load, Overrun
from poise.engines.limit import limited
from poise.errors import ConfigError, EngineError
from poise.testing import virtual

ASKED = (Message(Role.USER, "?"),)
SAMPLING = Sampling()


def test_no_more_than_so_many_calls_at_once_and_in_order():
    async def run():
        engine, order = Planned((1.0, *WHOLE)), []
        wrapped = limited(engine, 2)

        async def draw(name):
            await drawn(wrapped.stream(ASKED, SAMPLING))
            order.append(name)

        draws = [asyncio.create_task(draw(name)) for name in range(5)]
        await asyncio.sleep(0.5)
        assert wrapped.load() == Load(2, 3, 2)
        await asyncio.gather(*draws)
        assert order == [0, 1, 2, 3, 4]
        assert (engine.most_in_flight, engine.calls, engine.closed) == (2, 5, 5)
        assert asyncio.get_running_loop().time() == pytest.approx(3.0)
        assert wrapped.load() == Load(0, 0, 2)

    virtual(run())


def test_a_waiting_call_that_is_cancelled_leaves_the_queue():
    async def run():
        engine = Planned((1.0, *WHOLE))
        wrapped = limited(engine, 1)
        streams = [wrapped.stream(ASKED, SAMPLING) for _ in range(3)]
        draws = [asyncio.create_task(drawn(stream)) for stream in streams]
        await asyncio.sleep(0.5)
        draws[1].cancel()
        await asyncio.wait([draws[1]])
        assert wrapped.load().queued == 1
        await asyncio.gather(draws[0], draws[2])
        assert engine.calls == 2
        assert asyncio.get_running_loop().time() == pytest.approx(2.0)

    virtual(run())


def test_a_call_that_is_closed_or_fails_gives_its_slot_back():
    async def run():
        engine = Planned((Delta("a", 1), 9.0), (EngineError("x"),), WHOLE, overrun=Overrun(4))
        wrapped = limited(engine, 1)
        stream = wrapped.stream(ASKED, SAMPLING)
        await anext(aiter(stream))
        assert await stream.aclose() == Overrun(4)
        await failed(wrapped.stream(ASKED, SAMPLING), EngineError)
        assert (await drawn(wrapped.stream(ASKED, SAMPLING)))[0] == list(WHOLE)

    virtual(run())


def test_a_stream_that_was_never_read_holds_no_slot():
    async def run():
        wrapped = limited(engine := Planned(WHOLE), 1)
        assert await wrapped.stream(ASKED, SAMPLING).aclose() == Overrun()
        await drawn(wrapped.stream(ASKED, SAMPLING))
        assert engine.calls == 1

    virtual(run())


def test_it_outlives_its_event_loop():
    wrapped = limited(Planned((1.0, *WHOLE)), 1)

    async def run():
        await asyncio.gather(*(drawn(wrapped.stream(ASKED, SAMPLING)) for _ in range(3)))
        return True

    assert virtual(run())
    assert virtual(run())


def test_settings_that_cannot_work():
    with pytest.raises(ConfigError, match="slots"):
        limited(Planned(), 0)
