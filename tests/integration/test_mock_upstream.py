"""The HTTP engine against a mock server that counts what it really generates."""

import asyncio
import os
import random
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import aclosing
from pathlib import Path

import aiohttp
import pytest

from poise.core import Finish, Message, Role, Sampling
from poise.engines.limit import limited
from poise.engines.openai_http import OpenAIHTTP, Timeouts
from poise.engines.retry import retrying
from poise.errors import EngineSilent

DATA = os.environ.get("POISE_TEST_DATA")
pytestmark = pytest.mark.skipif(not DATA, reason="POISE_TEST_DATA is not set")


@pytest.fixture
def mock():
    """Starts mock servers with the given environment; gives their URLs."""
    running = []

    def start(**environment):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        script = Path(DATA or "").parent / "tools" / "mock_openai.py"
        settings = {name: str(value) for name, value in environment.items()}
        running.append(subprocess.Popen([sys.executable, str(script), str(port)], env=os.environ | settings))
        url = f"http://127.0.0.1:{port}"
        for _ in range(200):
            try:
                with urllib.request.urlopen(f"{url}/stats", timeout=1):
                    return url
            except OSError:
                time.sleep(0.05)
        raise RuntimeError("the mock server did not start")

    yield start
    for process in running:
        process.terminate()
    for process in running:
        process.wait(10)


def asked(number):
    return (Message(Role.USER, f"What is {number} + 25?"),)


async def stats(url):
    async with aiohttp.ClientSession() as session, session.get(f"{url}/stats") as response:
        return await response.json()


async def settled(url):
    """The counters once nothing is in flight."""
    for _ in range(100):
        if not (counters := await stats(url))["in_flight"]:
            return counters
        await asyncio.sleep(0.02)
    raise AssertionError("calls are still in flight")


async def draw(engine, number, sampling=Sampling(max_tokens=400), n=1, most=None):
    """(tokens delivered, tokens overrun, finishes); stops by itself after `most` tokens, and bills when cancelled."""
    stream, tokens, finishes = engine.stream(asked(number), sampling, n), 0, []
    try:
        async for delta in stream:
            tokens += delta.tokens
            finishes += [delta.finish] if delta.finish else []
            if most and tokens >= most:
                break
    except asyncio.CancelledError:
        pass
    return tokens, (await stream.aclose()).tokens, finishes


async def test_connections_are_used_again(mock):
    url, clients = mock(TTFT=0, RATE=100_000), 8
    async with aclosing(OpenAIHTTP(url, "m")) as engine:

        async def client(first):
            for number in range(first, 1000, clients):
                await draw(engine, number, Sampling(max_tokens=2))

        await asyncio.gather(*map(client, range(clients)))
        counters = await stats(url)
    assert counters["calls"] == 1000
    assert counters["connections"] <= clients + 2


@pytest.mark.parametrize("at_once", [1, 8, 32])
async def test_cancelled_work_is_billed_to_within_one_percent(mock, at_once):
    url, dice, billed = mock(), random.Random(at_once), []
    async with aclosing(OpenAIHTTP(url, "m")) as engine:

        async def cancelled(number):
            task = asyncio.create_task(draw(engine, number))
            await asyncio.sleep(dice.uniform(0.05, 0.6))
            task.cancel()
            return await task

        def left(number):
            return cancelled(number) if number % 2 else draw(engine, number, most=dice.randint(5, 60))

        for first in range(0, 32 if at_once == 1 else 64, at_once):
            billed += await asyncio.gather(*map(left, range(first, first + at_once)))
        counters = await settled(url)
    assert counters["generated"] > 500
    total = sum(tokens + overrun for tokens, overrun, _ in billed)
    assert abs(total - counters["generated"]) <= 0.01 * counters["generated"], (total, counters)


async def test_several_samples_are_all_billed(mock):
    url = mock(RATE=2000)
    async with aclosing(OpenAIHTTP(url, "m")) as engine:
        tokens, overrun, finishes = await draw(engine, 17, n=4)
        counters = await settled(url)
    assert (tokens, overrun, finishes) == (counters["generated"], 0, [Finish.EOS] * 4)
    assert counters["calls"] == 1


async def test_a_stop_string_ends_the_work(mock):
    url = mock()
    async with aclosing(OpenAIHTTP(url, "m")) as engine:
        tokens, overrun, finishes = await draw(engine, 17, Sampling(max_tokens=400, stop=("\n\n",)))
        counters = await settled(url)
    assert finishes == [Finish.DELIMITER]
    assert tokens + overrun == counters["generated"]
    assert overrun <= 5


async def test_failures_are_tried_again(mock):
    url = mock(TTFT=0, RATE=10_000, FAIL_EVERY=3)
    async with aclosing(limited(retrying(OpenAIHTTP(url, "m"), attempts=8, base_seconds=0.01), 8)) as engine:
        answers = await asyncio.gather(*(draw(engine, number) for number in range(60)))
        counters = await settled(url)
    assert all(finishes == [Finish.EOS] for _, _, finishes in answers)
    assert counters["failed"] >= 20
    assert counters["calls"] == 60 + counters["failed"]
    assert counters["max_in_flight"] <= 8
    assert sum(tokens for tokens, _, _ in answers) == counters["generated"]


async def test_a_silent_server(mock):
    url = mock(SILENT=1)
    async with aclosing(OpenAIHTTP(url, "m", timeouts=Timeouts(first_byte=1.0))) as engine:
        began = time.perf_counter()
        with pytest.raises(EngineSilent):
            await draw(engine, 17)
        assert 0.9 <= time.perf_counter() - began <= 1.1 + 0.1  # and a busy machine
