"""The words of Poise. Standard library only; everything here is frozen plain data.

What was decided and who does the work: `poise.seams`. What happened: `poise.trace`. What it costs: `poise.costs`.
A *delta* is a piece of a stream; a *draw* is one launched sample; a *draft* is what a draw returned; a *step* is a
draft placed in the tree. A whole answer is a *path* of one or more steps.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

from poise.costs import Budget, Usage
from poise.errors import ConfigError


class Role(Enum):
    """Who speaks in a message."""

    SYSTEM = "system"
    USER = "user"
    ASSISTANT = "assistant"


class Kind(Enum):
    """What kind of answer a request expects; decides extraction and equivalence."""

    NUMBER = "number"
    CHOICE = "choice"
    EXPRESSION = "expression"
    TEXT = "text"


class Finish(Enum):
    """Why a draft ended. CLOSED: we closed the stream (cancelled, watched or out of time)."""

    EOS = "eos"
    DELIMITER = "delimiter"
    LENGTH = "length"
    CLOSED = "closed"


class Stopped(Enum):
    """Why a run ended."""

    DONE = "done"
    AGREED = "agreed"
    BUDGET = "budget"
    DEADLINE = "deadline"
    CANCELLED = "cancelled"


class Ability(Enum):
    """What an engine can do beyond a plain draw."""

    CONTINUES = "continue an assistant prefix"
    LOGPROBS = "return logprobs"
    SEEDS = "honour seeds"
    N_SAMPLES = "share a prompt between n samples"
    WHITE_BOX = "expose the model"
    THOUGHTS = "think at every token"
    THINKING_BUDGET = "bound a thinking block"


class Rule(Enum):
    """Which extraction rule found a value, in order of trust."""

    HASHES = "####"
    BOXED = "boxed"
    ANSWER_IS = "answer is"
    CHOICE = "choice letter"
    LAST_NUMBER = "last number"
    WHOLE_TEXT = "whole text"


@dataclass(frozen=True, slots=True)
class Message:
    """One turn. A trailing assistant message of a prompt is a prefix that the engine continues (CONTINUES)."""

    role: Role
    text: str


Prompt: TypeAlias = tuple[Message, ...]


class ThinkingMode(Enum):
    """How a THOUGHTS engine thinks before each token (Quiet-STaR, arXiv 2403.09629)."""

    OFF = "off"
    EXACT = "exact"
    GATED = "gated"
    AMORTISED = "amortised"


MOST_DRAFTS = 16
"""Of AMORTISED thinking: the last of so many are hardly ever kept."""
GATE_SLACK = 10
"""Of GATED thinking: tokens whose share a gate may be ahead of at any place of a text."""


@dataclass(frozen=True, slots=True)
class Thinking:
    """`share` of positions that think (GATED); `drafts` tokens drafted per verification (AMORTISED)."""

    mode: ThinkingMode = ThinkingMode.OFF
    share: float = 1.0
    drafts: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.share <= 1:
            raise ConfigError("thinking.share", self.share, "0 to 1")
        if not 1 <= self.drafts <= MOST_DRAFTS:
            raise ConfigError("thinking.drafts", self.drafts, f"1 to {MOST_DRAFTS}")


@dataclass(frozen=True, slots=True)
class Sampling:
    """How to draw. `top_logprobs`: None = no logprobs, 0 = the chosen token's, k = with k alternatives. `thinking`:
    None = as the engine does by itself."""

    temperature: float = 0.7
    top_p: float = 1.0
    max_tokens: int = 256
    stop: tuple[str, ...] = ()
    seed: int | None = None
    top_logprobs: int | None = None
    thinking: Thinking | None = None

    def __post_init__(self) -> None:
        if not (math.isfinite(self.temperature) and 0 <= self.temperature <= 10):
            raise ConfigError("temperature", self.temperature, "0 to 10")
        if not 0 < self.top_p <= 1:
            raise ConfigError("top_p", self.top_p, "above 0, up to 1")
        if not 1 <= self.max_tokens <= 10_000_000:
            raise ConfigError("max_tokens", self.max_tokens, "1 to 10,000,000")


@dataclass(frozen=True, slots=True)
class Goal:
    """What the caller wants: ceilings (the deadline is `budget.seconds`) and a wanted confidence in (0, 1]."""

    budget: Budget = Budget()
    confidence: float | None = None

    def __post_init__(self) -> None:
        if self.confidence is not None and not 0 < self.confidence <= 1:
            raise ConfigError("confidence", self.confidence, "above 0, up to 1")


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked, once the wire is gone: no model name, no HTTP. `tags` are free labels kept in the trace."""

    messages: Prompt
    kind: Kind = Kind.TEXT
    sampling: Sampling = Sampling()
    goal: Goal = Goal()
    tags: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not any(m.role is Role.USER and m.text.strip() for m in self.messages):
            raise ConfigError("question", "", "at least one user message with text in it")
        try:
            "".join(m.text for m in self.messages).encode()
        except UnicodeEncodeError as error:
            raise ConfigError("question", error.object[error.start : error.end], "text that UTF-8 can hold") from None

    @classmethod
    def ask(
        cls, question: str, kind: Kind = Kind.TEXT, sampling: Sampling = Sampling(), goal: Goal = Goal()
    ) -> Request:
        """A request of one user message."""
        return cls((Message(Role.USER, question),), kind, sampling, goal)

    @property
    def question(self) -> str:
        """The text of the last user message."""
        return next(m.text for m in reversed(self.messages) if m.role is Role.USER)


@dataclass(frozen=True, slots=True)
class Value:
    """A value read out of a text: its canonical form, and the rule that found it."""

    text: str
    rule: Rule


@dataclass(frozen=True, slots=True)
class Delta:
    """A piece of sample `index`. `tokens` generated since the last delta of this index (a finish delta may carry the
    end token); one logprob per token where known; `alternatives`: the top logprobs per token. Token counts of the
    prompt come once, with any delta. The last delta of an index carries `finish`."""

    text: str = ""
    tokens: int = 0
    index: int = 0
    finish: Finish | None = None
    logprobs: tuple[float, ...] = ()
    alternatives: tuple[tuple[float, ...], ...] = ()
    token_ids: tuple[int, ...] = ()
    prompt_tokens: int | None = None
    cached_tokens: int | None = None
    thought_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Draft:
    """What a draw returned."""

    text: str
    finish: Finish
    tokens: int
    logprobs: tuple[float, ...] = ()
    alternatives: tuple[tuple[float, ...], ...] = ()
    token_ids: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Step:
    """A draft placed in the tree. `suffix` is text put before it that was given, not drawn. `value` is read from the
    whole path up to here; None where nothing of the asked kind is there."""

    id: int
    parent: int
    draft: Draft
    value: Value | None = None
    suffix: str = ""
    role: str = "main"

    @property
    def text(self) -> str:
        """Given and drawn text of this step."""
        return self.suffix + self.draft.text

    @property
    def finished(self) -> bool:
        """Whether the draw ended by itself (not cut short by us)."""
        return self.draft.finish is not Finish.CLOSED


ROOT = Step(0, -1, Draft("", Finish.DELIMITER, 0))
Path: TypeAlias = tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Score:
    """A scorer's guess in [0, 1] and what it cost. `failure`: why there is no usable value (then value is 0)."""

    value: float
    usage: Usage = Usage()
    failure: str | None = None

    def __post_init__(self) -> None:
        if not 0.0 <= self.value <= 1.0:
            raise ConfigError("score", self.value, "0 to 1")


@dataclass(frozen=True, slots=True)
class Pick:
    """A strategy's choice: the step whose path is the answer, its confidence in [0, 1] where the rule has one, how
    many drafts had a say, and whether the rule stopped early because it was sure."""

    step: Step
    confidence: float | None = None
    votes: int = 1
    agreed: bool = False
