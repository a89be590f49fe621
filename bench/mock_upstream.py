"""Orchestration over real HTTP: wall time, the bill, and connections, against a mock upstream that counts its own work.

--mock names a script that is started as `python SCRIPT PORT` and must serve /v1/chat/completions with streaming (at
TTFT seconds to the first token and RATE tokens/s, from the environment), GET /stats ("generated", "connections") and
POST /reset. Targets: self_consistency 5 in <= 1.15 s (median); new_tokens + overrun_tokens within 1 % of the mock's own
counter for every strategy, cancelled draws included; connections <= concurrency + 2 over 1,000 calls.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass

import aiohttp

from figures import Figure, parser, show
from poise import registry
from poise.config import EngineSpec, plan_of
from poise.connect import connect
from poise.core import Kind, Request, Sampling
from poise.knobs import strategy
from poise.run import solve
from poise.scorers import Scorers
from poise.seams import Engine


@dataclass(frozen=True)
class Upstream:
    """A running mock: its address, and its own counters."""

    url: str
    http: aiohttp.ClientSession

    async def reset(self) -> None:
        async with self.http.post(f"{self.url}/reset"):
            pass

    async def stats(self) -> dict[str, float]:
        """Counters once nothing is in flight any more."""
        while True:
            async with self.http.get(f"{self.url}/stats") as reply:
                found: dict[str, float] = await reply.json()
            if not found["in_flight"]:
                return found
            await asyncio.sleep(0.02)


@contextlib.asynccontextmanager
async def upstream(script: str, rate: float) -> AsyncIterator[tuple[Upstream, Engine]]:
    """The mock on a free port, and the engine that `poise ask --engine URL` would make for it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {**os.environ, "TTFT": "0.05", "RATE": str(rate)}
    process = subprocess.Popen([sys.executable, script, str(port)], env=environment)  # noqa: ASYNC220
    try:
        async with aiohttp.ClientSession() as http:
            mock = Upstream(f"http://127.0.0.1:{port}", http)
            for _ in range(200):
                with contextlib.suppress(aiohttp.ClientError):
                    await mock.reset()
                    break
                await asyncio.sleep(0.05)
            engine = connect(EngineSpec("openai", "m", f"{mock.url}/v1"), "main")
            yield mock, engine
            await engine.aclose()
    finally:
        process.terminate()
        process.wait()


def question(number: int) -> Request:
    """A sum; the mock knows its truth."""
    return Request.ask(f"What is {number} + 25?", Kind.NUMBER, Sampling(max_tokens=256))


async def wall(script: str, rounds: int) -> list[Figure]:
    """Seconds of self_consistency 5: the slowest of five streams, and what Poise adds."""
    plan, taken = plan_of(strategy("self_consistency:n=5")), []
    async with upstream(script, 200) as (_, engine):
        for number in range(rounds):
            started = time.perf_counter()
            await solve(question(number), plan, {"main": engine}, seed=number)
            taken.append(time.perf_counter() - started)
    median = statistics.median(taken)
    return [Figure("self_consistency 5, median wall", median, "s", "<= 1.15", median <= 1.15)]


async def bills(script: str, rounds: int) -> list[Figure]:
    """Billed tokens against the mock's own counter, per strategy."""
    figures, scorers = [], Scorers()
    async with upstream(script, 400) as (mock, engine):
        for name in registry.names("strategies"):
            chosen = strategy(name)
            plan = plan_of(chosen, scorer="agreement" if chosen.scored else None)
            if not chosen.needs <= engine.can:
                continue
            await mock.reset()
            asked = [solve(question(number), plan, {"main": engine}, scorers, number) for number in range(rounds)]
            usages = [answer.usage for answer in await asyncio.gather(*asked)]
            made = (await mock.stats())["generated"]
            overrun = sum(usage.overrun_tokens for usage in usages)
            off = 100 * (sum(usage.new_tokens for usage in usages) + overrun - made) / made
            unit = f"% off, of {made:.0f} tokens ({overrun} overrun)"
            figures.append(Figure(f"bill of {name}", off, unit, "within 1", abs(off) <= 1.0))
    return figures


async def connections(script: str, calls: int, concurrency: int) -> list[Figure]:
    """Connections that the mock saw over many calls, none of them cancelled."""
    plan, room = plan_of(strategy("direct")), asyncio.Semaphore(concurrency)
    async with upstream(script, 20_000) as (mock, engine):
        await mock.reset()

        async def one(number: int) -> None:
            async with room:
                await solve(question(number), plan, {"main": engine}, seed=number)

        await asyncio.gather(*(one(number) for number in range(calls)))
        seen = (await mock.stats())["connections"]
    name = f"connections over {calls:,} calls, {concurrency} at once"
    return [Figure(name, seen, "", f"<= {concurrency + 2}", seen <= concurrency + 2)]


def main() -> None:
    """Measure and show."""
    arguments = parser(__doc__)
    arguments.add_argument("--mock", required=True, help="path of the mock upstream's script")
    arguments.add_argument("--rounds", type=int, default=9, help="questions per figure")
    arguments.add_argument("--calls", type=int, default=1_000)
    options = arguments.parse_args()
    figures = asyncio.run(wall(options.mock, options.rounds))
    figures += asyncio.run(bills(options.mock, options.rounds))
    figures += asyncio.run(connections(options.mock, options.calls, 16))
    show("Orchestration over HTTP, mock upstream", figures, options.json)


if __name__ == "__main__":
    main()
