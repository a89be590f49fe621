"""An engine with at most so many calls in flight."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

from poise.core import Delta, Prompt, Sampling
from poise.costs import Load
from poise.engines.wrapper import Bill, Wrapper
from poise.errors import ConfigError
from poise.seams import Engine, Stream


def limited(engine: Engine, slots: int) -> Engine:
    """`engine` with at most `slots` calls in flight; further calls wait, first come first served, and a waiting call
    that is closed leaves the queue. Raises ConfigError."""
    if slots < 1:
        raise ConfigError("slots", slots, "1 or more")
    return _Limited(engine, slots)


class _Limited(Wrapper):
    def __init__(self, engine: Engine, slots: int) -> None:
        super().__init__(engine)
        self._slots, self._waiting = slots, 0
        self._gate: tuple[asyncio.AbstractEventLoop, asyncio.Semaphore] | None = None

    def stream(self, prompt: Prompt, sampling: Sampling, n: int = 1) -> Stream:
        bill = Bill()
        return Stream(self._deltas(prompt, sampling, n, bill), bill.settle)

    def load(self) -> Load:
        beneath = self._engine.load()
        return Load(beneath.in_flight, beneath.queued + self._waiting, self._slots)

    async def _deltas(self, prompt: Prompt, sampling: Sampling, n: int, bill: Bill) -> AsyncGenerator[Delta, None]:
        gate = self._gate_here()
        self._waiting += 1
        try:
            await gate.acquire()
        finally:
            self._waiting -= 1
        try:
            stream = self._engine.stream(prompt, sampling, n)
            try:
                async for delta in stream:
                    yield delta
            finally:
                await bill.close(stream)
        finally:
            gate.release()

    def _gate_here(self) -> asyncio.Semaphore:
        """The semaphore of the running event loop."""
        loop = asyncio.get_running_loop()
        if self._gate is None or self._gate[0] is not loop:
            self._gate = loop, asyncio.Semaphore(self._slots)
        return self._gate[1]
