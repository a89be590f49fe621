"""The ledger: ceilings, reservations and spending of one run. Pure arithmetic; no clock, no engine."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, fields, replace

from poise.core import GATE_SLACK, Thinking, ThinkingMode
from poise.costs import Budget, Card, Usage


@dataclass(frozen=True, slots=True)
class Grant:
    """Room reserved for one draw: at most `max_tokens` new tokens, and `thoughts` beside them, over at most
    `prompt_tokens` of prompt."""

    max_tokens: int
    prompt_tokens: int
    flops: float
    money: float
    thoughts: int = 0


_CEILINGS = tuple(knob.name for knob in fields(Budget) if knob.name != "seconds")


class Ledger:
    """What a run may spend, has spent, and has promised to draws in flight. A fork's ledger has a parent, and every
    grant and bill of the fork counts there too. Seconds are kept by the clock, not here."""

    def __init__(self, budget: Budget, parent: Ledger | None = None) -> None:
        self.budget, self.parent = budget, parent
        self.spent = Usage()
        self._promised = Usage()
        self._limited = replace(budget, seconds=None) != Budget()

    def grant(
        self, max_tokens: int, prompt_tokens: int, card: Card, sharers: int = 1, thinking: Thinking | None = None
    ) -> Grant | None:
        """Reserve one draw, with what it may think, leaving equal room for the other `sharers`; None when not even one
        token fits."""
        room = max_tokens
        ledger: Ledger | None = self
        while ledger is not None and room >= 1:
            room = min(room, ledger._room(room, prompt_tokens, card, sharers, thinking))
            ledger = ledger.parent
        if room < 1:
            return None
        made = executed(card, room, thinking)
        flops, money = card.flops(prompt_tokens, 0, made), card.money(prompt_tokens, made)
        grant = Grant(room, prompt_tokens, flops, money, made - room)
        self._promise(grant, 1)
        return grant

    def settle(self, grant: Grant, usage: Usage) -> None:
        """Give the reservation back and book what was really spent."""
        self._promise(grant, -1)
        self.charge(usage)

    def charge(self, usage: Usage) -> None:
        """Book spending that was not reserved (scorers)."""
        if self._limited:
            self.spent = self.spent + usage
        if self.parent:
            self.parent.charge(usage)

    def affords(self, cost: Usage, most: int) -> int:
        """How many times `cost`, `most` at most, fit under every ceiling beside what is spent and promised. What costs
        nothing always fits."""
        fits = most
        for name in _CEILINGS:
            ceiling, each = getattr(self.budget, name), _counted(cost, name)
            if ceiling is not None and each > 0:
                fits = min(fits, max(int((ceiling - self._used(name)) / each), 0))
        return min(fits, self.parent.affords(cost, fits)) if self.parent else fits

    @property
    def limited(self) -> bool:
        """Whether there is any ceiling but the deadline, here or above."""
        return self._limited or bool(self.parent and self.parent.limited)

    def left(self, share: float = 1.0) -> Budget:
        """`share` of what is neither spent nor promised; a ceiling that is used up leaves the smallest budget."""
        ceilings = {}
        for name in _CEILINGS:
            ceiling = getattr(self.budget, name)
            if ceiling is None:
                continue
            left = max((ceiling - self._used(name)) * share, 1e-9)
            ceilings[name] = left if name in ("flops", "money") else max(int(left), 1)
        return Budget(**ceilings)

    def _used(self, ceiling: str) -> float:
        return _counted(self.spent + self._promised, ceiling)

    def _promise(self, grant: Grant, sign: int) -> None:
        if self._limited:
            self._promised = Usage(
                calls=self._promised.calls + sign,
                prompt_tokens=self._promised.prompt_tokens + sign * grant.prompt_tokens,
                new_tokens=self._promised.new_tokens + sign * grant.max_tokens,
                thought_tokens=self._promised.thought_tokens + sign * grant.thoughts,
                flops=self._promised.flops + sign * grant.flops,
                money=self._promised.money + sign * grant.money,
            )
        if self.parent:
            self.parent._promise(grant, sign)

    def _room(self, wanted: int, prompt_tokens: int, card: Card, sharers: int, thinking: Thinking | None) -> int:
        budget, room = self.budget, wanted
        if budget.calls is not None and self._used("calls") >= budget.calls:
            return 0

        def made(tokens: int) -> int:
            return executed(card, tokens, thinking)

        if budget.new_tokens is not None:
            left = int(budget.new_tokens - self._used("new_tokens")) // sharers
            room = _most(room, lambda tokens: made(tokens) <= left)
        if budget.total_tokens is not None:
            left_tokens = int(budget.total_tokens - self._used("total_tokens")) // sharers - prompt_tokens
            room = _most(room, lambda tokens: made(tokens) <= left_tokens)
        if budget.money is not None:
            left_money = (budget.money - self._used("money")) / sharers
            room = _most(room, lambda tokens: card.money(prompt_tokens, made(tokens)) <= left_money)
        if budget.flops is not None:
            left_flops = (budget.flops - self._used("flops")) / sharers
            room = _most(room, lambda tokens: card.flops(prompt_tokens, 0, made(tokens)) <= left_flops)
        return room


def executed(card: Card, tokens: int, thinking: Thinking | None) -> int:
    """So many new tokens, with what may be thought beside them at most: a thought before each; of a gate, before its
    share of them and what it may open too often in the beginning (`models.quiet_star.gates`); of drafts, for each that
    is made and not kept."""
    way = thinking or Thinking()
    if not card.passes or way.mode is ThinkingMode.OFF:
        return tokens
    if way.mode is ThinkingMode.AMORTISED:
        return tokens * (1 + card.passes * (way.drafts + 1) + way.drafts)
    thoughts = tokens
    if way.mode is ThinkingMode.GATED and way.share < 1:
        thoughts = min(tokens, math.floor(way.share * (tokens + GATE_SLACK)) + 1) if way.share else 0
    return tokens + card.passes * thoughts


def _counted(usage: Usage, ceiling: str) -> float:
    """What of a bill counts against a ceiling."""
    if ceiling == "new_tokens":
        return usage.new_tokens + usage.overrun_tokens + usage.scorer_tokens + usage.thought_tokens
    return float(getattr(usage, ceiling))


def _most(high: int, fits: Callable[[int], bool]) -> int:
    """The largest count in 0..high that fits, by bisection (cost grows with tokens); most often it is all of it."""
    if fits(high):
        return high
    low = 0
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(middle) else (low, middle - 1)
    return low
