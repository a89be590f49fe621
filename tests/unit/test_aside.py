"""Blocking work beside the loop: heard while somebody waits, and in nobody's way after that."""

import asyncio
import threading
import time

import pytest

from poise.aside import aside, unheard


def test_what_it_returns_and_raises_is_told():
    assert asyncio.run(aside(lambda one, two: one + two, 40, two=2)) == 42
    with pytest.raises(ZeroDivisionError):
        asyncio.run(aside(lambda: 1 / 0))


def test_the_loop_ends_before_the_work_does():
    done, ended = threading.Event(), threading.Event()

    def work():
        done.wait(30)
        ended.set()

    async def impatient():
        await asyncio.wait_for(aside(work), 0.05)

    began = time.monotonic()
    with pytest.raises(TimeoutError):
        asyncio.run(impatient())
    assert time.monotonic() - began < 10  # asyncio.to_thread would have waited for all 30
    assert unheard()
    done.set()
    assert ended.wait(10)
    for _ in range(200):
        if not unheard():
            break
        time.sleep(0.01)
    assert not unheard()


def test_works_side_by_side():
    """More of it at once than a pool would have threads."""
    gate = threading.Barrier(40)

    async def all_of_it():
        return await asyncio.gather(*(aside(gate.wait, 20) for _ in range(40)))

    assert sorted(asyncio.run(all_of_it())) == list(range(40))
