"""One streaming call over HTTP: asked, read piece by piece, closed, settled."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass

import aiohttp

from poise.core import Delta
from poise.costs import Overrun
from poise.engines.chunks import Decoder
from poise.engines.failures import failure_of_answer
from poise.engines.sse import Events
from poise.errors import EngineError, EngineSilent, EngineUnreachable

_TAIL_SECONDS = 2.0  # the usage follows the last sample at once
_ERROR_BYTES = 65_536


@dataclass(frozen=True, slots=True)
class Timeouts:
    """In seconds. `connect`: to a connection; `first_byte`: from the start of the call to the first event; `idle`:
    between pieces; `drain`: after closing, for the server to close too, so that what it still sent is counted."""

    connect: float = 5.0
    first_byte: float = 10.0
    idle: float = 30.0
    drain: float = 0.05


class Call:
    """Closing: our half of the connection is closed at once, which servers take for a client that is gone, and the other half
    is read until the server closes it, `drain` seconds at most. So what was sent and never delivered is counted, not
    guessed. `unsent` tokens a sample are computed after that (see Traits)."""

    def __init__(
        self,
        post: Callable[[], Awaitable[aiohttp.ClientResponse]],
        decoder: Decoder,
        timeouts: Timeouts,
        unsent: int = 0,
    ) -> None:
        self._post, self._decoder, self._timeouts, self._unsent = post, decoder, timeouts, unsent
        self._events = Events()
        self._pending: deque[Delta] = deque()
        self._response: aiohttp.ClientResponse | None = None
        self._opened_at = self._first_at = self._last_at = 0.0
        self._late_tokens = 0
        self._estimate: int | None = None

    async def deltas(self) -> AsyncGenerator[Delta, None]:
        """The deltas as they come. Raises EngineErrors."""
        try:
            await self._open()
            while not self._decoder.ended and (piece := await self._read()):
                for data in self._events.feed(piece):
                    self._pending.extend(self._decoder.decode(data))
                while self._pending:
                    yield self._pending.popleft()
        finally:
            await self._close()
        for delta in self._decoder.end():
            yield delta

    async def settle(self) -> Overrun:
        """What was generated and not delivered. Exact when the server closed its side too and computes nothing unsent."""
        tokens = self._late_tokens + self._decoder.late_tokens + sum(delta.tokens for delta in self._pending)
        return Overrun(tokens + (self._estimate or 0), exact=self._estimate is None)

    def abort(self) -> None:
        """Break the connection; whoever reads gets an EngineUnreachable."""
        if self._response is not None:
            self._response.close()
