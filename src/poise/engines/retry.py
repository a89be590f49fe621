"""An engine that asks again when a call fails before it has said anything. The one retry loop of Poise."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator

from poise.core import Delta, Prompt, Sampling
from poise.engines.wrapper import Bill, Wrapper
from poise.errors import ConfigError, EngineOverloaded, RunError
from poise.seams import Engine, Stream

LONGEST_WAIT_SECONDS = 30.0


def retrying(engine: Engine, attempts: int = 3, base_seconds: float = 0.25) -> Engine:
    """`engine`, each call tried up to `attempts` times as long as it fails before its first delta with an error that
    may pass. Waits `base_seconds`, then twice that, and so on, give or take a quarter, or what the server asks for; one
    that asks for more than 30 s is not waited for. Raises ConfigError."""
    if attempts < 1:
        raise ConfigError("attempts", attempts, "1 or more")
    if base_seconds < 0:
        raise ConfigError("base_seconds", base_seconds, "0 or more")
    return _Retrying(engine, attempts, base_seconds)


class _Retrying(Wrapper):
    def __init__(self, engine: Engine, attempts: int, base_seconds: float) -> None:
        super().__init__(engine)
        self._attempts, self._base_seconds = attempts, base_seconds

    def stream(self, prompt: Prompt, sampling: Sampling, n: int = 1) -> Stream:
        bill = Bill()
        return Stream(self._deltas(prompt, sampling, n, bill), bill.settle)

    async def _deltas(self, prompt: Prompt, sampling: Sampling, n: int, bill: Bill) -> AsyncGenerator[Delta, None]:
        for attempt in range(1, self._attempts + 1):
            stream, begun = self._engine.stream(prompt, sampling, n), False
            try:
                async for delta in stream:
                    begun = True
                    yield delta
                return
            except RunError as failure:
                seconds = self._wait_seconds(failure, attempt, sampling.seed)
                if begun or attempt == self._attempts or seconds is None:
                    raise
            finally:
                await bill.close(stream)
            await asyncio.sleep(seconds)

    def _wait_seconds(self, failure: RunError, attempt: int, seed: int | None) -> float | None:
        """How long to wait before the next attempt; None when there should be none. The jitter is the same for the
        same draw, and differs between draws that fail together."""
        if not failure.retryable:
            return None
        jitter = random.Random(f"{seed} {attempt}").uniform(0.75, 1.25)
        seconds = self._base_seconds * 2.0 ** (attempt - 1) * jitter
        asked = failure.retry_after if isinstance(failure, EngineOverloaded) else None
        if asked is not None and asked > LONGEST_WAIT_SECONDS:
            return None
        return max(seconds, asked or 0.0)
