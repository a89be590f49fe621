"""One streaming call over HTTP: asked, read piece by piece, closed, settled."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass

import aiohttp

from poise.core import Delta
from poise.costs import Overrun
from poise.engines.chunks import Decoder
from poise.engines.failures import failure_of_answer, failure_of_no_stream
from poise.engines.sse import Events
from poise.errors import EngineError, EngineSilent, EngineUnreachable

_TAIL_SECONDS = 2.0  # the usage follows the last sample at once
_GLANCE_SECONDS = 0.005
_ERROR_BYTES = 65_536
_NO_STREAMS = ("application/json", "text/html")  # a whole answer; a page of a proxy, or to log in


@dataclass(frozen=True, slots=True)
class Timeouts:
    """In seconds. `connect`: to a connection; `first_byte`: from the start of the call to the first event; `idle`:
    between pieces; `drain`: after closing, for the server to close too, so that what it still sent is counted."""

    connect: float = 5.0
    first_byte: float = 10.0
    idle: float = 30.0
    drain: float = 0.05


class Call:
    """To close, our half of the connection is closed at once, which servers take for a client that has gone, and the
    other half is read until the server closes it, for `drain` seconds at most. So what was sent and never delivered is
    counted, not guessed; only what a server computes after that and sends to nobody is an estimate. A call is `among`
    the calls of its engine while it is under way."""

    def __init__(
        self,
        post: Callable[[], Awaitable[aiohttp.ClientResponse]],
        decoder: Decoder,
        timeouts: Timeouts,
        secret: str | None,
        among: set[Call],
    ) -> None:
        self._post, self._decoder, self._timeouts, self._secret = post, decoder, timeouts, secret
        self._among = among
        self._events = Events()
        self._pending: deque[Delta] = deque()
        self._response: aiohttp.ClientResponse | None = None
        self._asked_at = 0.0
        self._delivered = 0
        self._unseen: int | None = None  # an estimate, where there has to be one

    async def deltas(self) -> AsyncGenerator[Delta, None]:
        """The deltas as they come. Raises EngineErrors."""
        self._among.add(self)
        try:
            response = await self._open()
            while not self._decoder.ended and (piece := await self._read(response)):
                for data in self._events.feed(piece):
                    self._pending.extend(self._decoder.decode(data))
                while self._pending:
                    delta = self._pending.popleft()
                    self._delivered += delta.tokens
                    yield delta
            await self._close()
            for delta in self._decoder.end():
                self._delivered += delta.tokens
                yield delta
        except EngineError as failure:
            failure.args = tuple(self._without_secret(str(part)) for part in failure.args)
            raise
        finally:
            self._among.discard(self)
            await self._close()

    @property
    def running(self) -> int:
        """Samples that have not ended."""
        return self._decoder.running

    async def settle(self) -> Overrun:
        """What was generated and not delivered; exact unless the server may have computed more than it sent."""
        undelivered = self._decoder.generated - self._delivered
        return Overrun(undelivered + (self._unseen or 0), exact=self._unseen is None)

    def abort(self) -> None:
        """Break the connection; whoever reads gets an EngineUnreachable."""
        if self._response is not None:
            self._response.close()

    async def _open(self) -> aiohttp.ClientResponse:
        self._asked_at = asyncio.get_running_loop().time()
        self._unseen = math.ceil(self._decoder.unsent) * self._decoder.running  # nobody knows what it does till then
        limits = self._timeouts
        try:
            async with asyncio.timeout_at(self._asked_at + limits.first_byte):
                response = await self._post()
                if response.status != 200 or response.content_type in _NO_STREAMS:
                    raise await _failure(response)
        except (aiohttp.ServerTimeoutError, aiohttp.ClientConnectorError) as failure:
            self._unseen = None
            raise EngineUnreachable(f"no connection within {limits.connect:g} s: {_name(failure)}") from failure
        except TimeoutError as failure:
            raise EngineSilent(f"no answer within {limits.first_byte:g} s") from failure
        except (aiohttp.ClientError, OSError) as failure:
            raise EngineUnreachable(f"no answer: {_name(failure)}") from failure
        except EngineError:
            self._unseen = None
            raise
        self._response, self._unseen = response, None
        return response

    async def _read(self, response: aiohttp.ClientResponse) -> bytes:
        """The next piece of the answer; empty at its end, and when every sample has ended and no more is said."""
        by = self._asked_at + self._timeouts.first_byte
        if self._decoder.begun:
            patience = self._timeouts.idle if self._decoder.running else _TAIL_SECONDS
            by = asyncio.get_running_loop().time() + patience
        try:
            async with asyncio.timeout_at(by):
                return await response.content.readany()
        except TimeoutError as failure:
            if not self._decoder.running:
                return b""
            self._give_up(response)
            idle, first = self._timeouts.idle, self._timeouts.first_byte
            silence = f"{idle:g} s in the middle" if self._decoder.begun else f"{first:g} s"
            raise EngineSilent(f"nothing came for {silence}") from failure
        except (aiohttp.ClientError, OSError) as failure:
            self._give_up(response)
            raise EngineUnreachable(f"the connection broke: {_name(failure)}") from failure

    def _give_up(self, response: aiohttp.ClientResponse) -> None:
        response.close()
        self._response, self._unseen = None, 0

    async def _close(self) -> None:
        """Let a finished answer end, so that its connection can be used again; hang up on any other."""
        response, self._response = self._response, None
        if response is None or response.content.at_eof():
            return
        patience = self._timeouts.drain
        if not self._decoder.done and not _hang_up(response):
            patience = 0.0
        try:
            heard_end = await self._drain(response, patience)
        finally:
            response.close()
        if not self._decoder.done:
            self._estimate(heard_end)

    async def _drain(self, response: aiohttp.ClientResponse, seconds: float) -> bool:
        """Count what still comes; whether its end was heard."""
        for patience in (seconds, _GLANCE_SECONDS):  # the glance sees what came while it was we who were held up
            try:
                async with asyncio.timeout(patience):
                    while piece := await response.content.readany():
                        for data in self._events.feed(piece):
                            with contextlib.suppress(EngineError):
                                self._decoder.decode(data)
                return True
            except TimeoutError:
                continue
            except (aiohttp.ClientError, OSError):
                return True  # to break off in the middle is how a server takes leave of a client that has gone
        return False

    def _estimate(self, heard_end: bool) -> None:
        """What it computed and did not send; a server that was not heard to stop is taken to be one token on. Half a
        token is rounded up in every other draw, so that many small bills are right in sum."""
        decoder = self._decoder
        each = decoder.unsent if heard_end else max(1.0, decoder.unsent)
        if expected := each * (decoder.running + decoder.cut):
            self._unseen = min(math.floor(expected + decoder.generated % 2 / 2), decoder.room)

    def _without_secret(self, text: str) -> str:
        return text.replace(self._secret, "***") if self._secret else text


def _hang_up(response: aiohttp.ClientResponse) -> bool:
    """Close our half of the connection; False where there are no halves (TLS)."""
    connection = response.connection
    transport = connection.transport if connection else None
    if connection is None or transport is None or not transport.can_write_eof():
        return False
    if connection.protocol is not None:
        connection.protocol.force_close()  # or half a connection would be used again if the answer ends after all
    with contextlib.suppress(OSError):  # the server may have gone first
        transport.write_eof()
    return True


async def _failure(response: aiohttp.ClientResponse) -> EngineError:
    """The error that an answer other than a stream stands for."""
    body = b""
    try:
        while len(body) < _ERROR_BYTES and (piece := await response.content.readany()):
            body += piece
    finally:
        response.close()
    if response.status == 200:
        return failure_of_no_stream(response.content_type, body)
    return failure_of_answer(response.status, response.headers, body)


def _name(failure: Exception) -> str:
    return str(failure) or type(failure).__name__
