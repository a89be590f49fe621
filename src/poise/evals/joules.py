"""The joules of a run, over all its sittings: read from a meter once a minute, so that a killed one loses a minute."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import AsyncIterator

from poise.evals import energy
from poise.store.run_dir import ENERGY, RunDir

METER_SECONDS = 60.0


@contextlib.asynccontextmanager
async def metered(store: RunDir) -> AsyncIterator[None]:
    """Record what the machine's meter counts inside the block; null, once, where it has none."""
    meter, counted = energy.meter(), 0.0

    def record() -> None:
        nonlocal counted
        joules = meter.read()
        store.append(ENERGY, {"joules": None if joules is None else joules - counted})
        counted = joules or counted

    async def every_minute() -> None:
        while True:
            await asyncio.sleep(METER_SECONDS)
            record()

    if not meter.measured:
        store.append(ENERGY, {"joules": None})
        yield
        return
    minutes = asyncio.create_task(every_minute())
    try:
        yield
    finally:
        minutes.cancel()
        await asyncio.gather(minutes, return_exceptions=True)
        record()


def joules_of(store: RunDir) -> float | None:
    """Joules measured over the whole run; None where any sitting had no meter."""
    readings = [line["joules"] for line in store.lines(ENERGY)]
    return None if not readings or None in readings else math.fsum(readings)
