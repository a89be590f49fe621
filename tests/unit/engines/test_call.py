"""Calls over a connection without halves (TLS), which a loopback test has no certificate for."""

import asyncio
from collections import deque
from types import SimpleNamespace

import pytest
from loopback import chunk, drawn, failed

from poise.core import Sampling
from poise.costs import Overrun
from poise.engines.call import Call, Timeouts
from poise.engines.chunks import Decoder
from poise.engines.dialect import Dialect
from poise.errors import EngineSilent
from poise.seams import Stream
from poise.testing import virtual


class Whole:
    """A response that gives these pieces and then says nothing more; it is its own content and connection."""

    status, content_type = 200, "text/event-stream"

    def __init__(self, *pieces):
        self.pieces, self.closed = deque(pieces), False
        self.content = self
        self.connection = SimpleNamespace(transport=SimpleNamespace(can_write_eof=lambda: False))

    async def readany(self):
        if not self.pieces:
            await asyncio.sleep(1e9)
        return self.pieces.popleft()

    def at_eof(self):
        return False

    def close(self):
        self.closed = True


def called(response, **timeouts):
    async def post():
        return response

    call = Call(post, Decoder(Dialect.OPENAI.traits, Sampling(), 1), Timeouts(**timeouts), None, set())
    return Stream(call.deltas(), call.settle)


def test_what_has_arrived_is_counted_and_the_rest_is_an_estimate():
    async def run():
        response = Whole(chunk("a"), chunk("b") + chunk("c"))
        stream = called(response)
        assert (await anext(aiter(stream))).text == "a"
        assert await stream.aclose() == Overrun(3, exact=False)
        assert response.closed
        return asyncio.get_running_loop().time()

    assert virtual(run()) < 0.01


@pytest.mark.parametrize(("pieces", "seconds"), [((), 10.0), ((chunk("a"), chunk("b")), 30.0)])
def test_silence_ends_the_call_when_it_should(pieces, seconds):
    async def run():
        response = Whole(*pieces)
        await failed(called(response), EngineSilent)
        assert response.closed
        return asyncio.get_running_loop().time()

    assert virtual(run()) == pytest.approx(seconds)


def test_an_answer_without_an_end_is_not_waited_for_long():
    async def run():
        deltas, overrun = await drawn(called(Whole(chunk("a", finish="stop"))))
        assert ([delta.text for delta in deltas], overrun) == (["a"], Overrun())
        return asyncio.get_running_loop().time()

    assert virtual(run()) == pytest.approx(2.0, abs=0.1)
