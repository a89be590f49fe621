"""One draw: collect the deltas of one stream into a draft, and write its bill."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field

from poise.core import Delta, Draft, Finish, Prompt
from poise.costs import Card, Overrun, Usage


def derived_seed(*parts: object) -> int:
    """A 31-bit seed from any parts: the same parts, the same seed, on every machine."""
    digest = hashlib.blake2b("|".join(map(str, parts)).encode(), digest_size=4).digest()
    return int.from_bytes(digest, "big") & 0x7FFFFFFF


MESSAGE_TOKENS = 16  # at most, what a template adds for one message


def prompt_bound(prompt: Prompt) -> int:
    """An upper bound on the tokens of a prompt nobody has counted yet: a token covers at least one byte, and templates
    add a few per message."""
    return sum(len(message.text.encode()) + MESSAGE_TOKENS for message in prompt) + MESSAGE_TOKENS


@dataclass(frozen=True, slots=True)
class PromptBill:
    """The prompt of a draw: its tokens, how many of them were cached, whether the engine said so, and whether another
    draw of the same call is charged for it."""

    tokens: int
    exact: bool
    shared: bool = False
    cached: int = 0


@dataclass(slots=True)
class Collected:
    """What one stream has delivered so far. `started` and `first` are clock readings."""

    started: float
    first: float | None = None
    deltas: list[Delta] = field(default_factory=list)
    finish: Finish | None = None
    prompt_tokens: int | None = None
    cached_tokens: int = 0
    new_tokens: int = 0
    thought_tokens: int = 0

    def add(self, delta: Delta, clock: Callable[[], float]) -> None:
        """Take one delta."""
        if self.first is None:
            self.first = clock()
        self.deltas.append(delta)
        self.new_tokens += delta.tokens
        self.thought_tokens += delta.thought_tokens
        if delta.prompt_tokens is not None:
            self.prompt_tokens = delta.prompt_tokens
        if delta.cached_tokens is not None:
            self.cached_tokens = delta.cached_tokens
        if delta.finish is not None:
            self.finish = delta.finish

    def draft(self) -> Draft:
        """The draft so far; CLOSED unless the stream said how it ended."""
        if len(self.deltas) == 1:  # the common case of engines that deliver whole texts
            only = self.deltas[0]
            finish = only.finish or Finish.CLOSED
            return Draft(only.text, finish, only.tokens, only.logprobs, only.alternatives, only.token_ids)
        return Draft(
            "".join(delta.text for delta in self.deltas),
            self.finish or Finish.CLOSED,
            self.new_tokens,
            tuple(logprob for delta in self.deltas for logprob in delta.logprobs),
            tuple(top for delta in self.deltas for top in delta.alternatives),
            tuple(token for delta in self.deltas for token in delta.token_ids),
        )

    def bill(self, card: Card, ended: float, overrun: Overrun, prompt: PromptBill) -> Usage:
        """What this draw cost."""
        executed = self.new_tokens + overrun.tokens + self.thought_tokens
        charged = 0 if prompt.shared else prompt.tokens
        return Usage(
            calls=1,
            prompt_tokens=charged,
            cached_prompt_tokens=0 if prompt.shared else prompt.cached,
            new_tokens=self.new_tokens,
            overrun_tokens=overrun.tokens,
            thought_tokens=self.thought_tokens,
            busy_seconds=ended - self.started,
            flops=card.flops(prompt.tokens, prompt.tokens if prompt.shared else prompt.cached, executed),
            money=card.money(charged, executed),
            estimated=not (prompt.exact and overrun.exact),
        )
