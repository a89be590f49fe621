"""What a search has asked and been told, under its budget. A search that decides by nothing but its seed and what it
was told can then be run again from its start, for nothing, up to where it was killed: it goes on as if it had not been.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import replace

from poise.errors import StoreError
from poise.records import Json
from poise.tune.budget import Spent, TuneBudget
from poise.tune.optimizer import TuneDir

CALLS = "calls.jsonl"
_CUT = "cut"


class Enough(Exception):
    """Nothing more is asked: the budget has no room for it, or the search was stopped."""


class Journal:
    """Lines of CALLS in a claimed run directory: {"key", "told", "spent"}."""

    def __init__(self, store: TuneDir, budget: TuneBudget) -> None:
        self._store, self._budget = store, budget
        self._before = deque(store.lines(CALLS))
        self.spent = Spent()
        self.asked = 0
        """How many questions so far, those of former sittings included."""
        self.stopped = False
        self.error: Exception | None = None
        """Why it stopped, where that was no matter of budget."""

    def stop(self, error: Exception | None = None) -> None:
        """Ask nothing more."""
        self.stopped = True
        if error is not None and not isinstance(error, Enough):
            self.error = self.error or error

    async def once(self, key: str, most: Spent, ask: Callable[[], Awaitable[tuple[Json, Spent]]]) -> Json:
        """What `ask` tells, or what it told before when it was asked the same. `most`: what it can cost. Raises Enough
        where the budget has no room for so much, or its seconds run out meanwhile (which is then cut off), and
        StoreError where another thing was asked before."""
        if self.stopped:
            raise Enough
        while self._before:
            line = self._before.popleft()
            self._pay(Spent(**line["spent"]))
            if line["key"] != _CUT:
                self._check(line["key"], key)
                told: Json = line["told"]
                return told
        return await self._asked(key, most, ask)

    async def _asked(self, key: str, most: Spent, ask: Callable[[], Awaitable[tuple[Json, Spent]]]) -> Json:
        began = time.perf_counter()
        if not self._budget.begins(self.spent, most, Spent()):
            self.stop()
            raise Enough
        try:
            async with asyncio.timeout(self._budget.patience(self.spent)):
                told, spent = await ask()
        except TimeoutError:
            self._note(_CUT, {}, Spent(seconds=time.perf_counter() - began))
            self.stop()
            raise Enough from None
        self._note(key, told, replace(spent, seconds=time.perf_counter() - began))
        return told

    def _note(self, key: str, told: Json, spent: Spent) -> None:
        paid = Spent(spent.calls, spent.tokens, round(spent.seconds, 3))
        cost = {"calls": paid.calls, "tokens": paid.tokens, "seconds": paid.seconds}
        self._store.append(CALLS, {"key": key, "told": told, "spent": cost})
        self._pay(paid)

    def _pay(self, spent: Spent) -> None:
        self.spent.add(spent.calls, spent.tokens, spent.seconds)
        self.asked += 1

    def _check(self, before: str, now: str) -> None:
        if before != now:
            raise StoreError(
                f"{self._store.path / CALLS}: call {self.asked} was another one; begin a new run directory"
            )


def key_of(*parts: str) -> str:
    """What is asked, as a key: the first part and a hash of all."""
    return f"{parts[0]} {hashlib.sha256(chr(0).join(parts).encode()).hexdigest()[:16]}"
