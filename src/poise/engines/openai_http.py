"""Any OpenAI-compatible server as an engine. (Skeleton: signatures are settled, bodies follow.)"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import KW_ONLY, InitVar, dataclass, field

from poise.core import Ability, Delta, Prompt, Sampling
from poise.costs import Card, Load
from poise.engines.dialect import Dialect
from poise.seams import Stream


@dataclass(frozen=True, slots=True)
class Timeouts:
    """In seconds: to connect, to the first piece of the answer, between pieces, and to hear the end after closing."""

    connect: float = 5.0
    first_byte: float = 10.0
    idle: float = 30.0
    drain: float = 0.05


@dataclass(eq=False)
class OpenAIHTTP:
    """An OpenAI-compatible server. `abilities` overrides what the dialect is known to be able to."""

    base_url: str
    model: str
    _: KW_ONLY
    name: str = "openai"
    api_key: str | None = field(default=None, repr=False)
    dialect: Dialect = Dialect.OPENAI
    card: Card = Card("")
    timeouts: Timeouts = Timeouts()
    slots: int = 0
    abilities: InitVar[frozenset[Ability] | None] = None
    can: frozenset[Ability] = field(init=False)

    def __post_init__(self, abilities: frozenset[Ability] | None) -> None:
        self.can = abilities if abilities is not None else frozenset()

    def stream(self, prompt: Prompt, sampling: Sampling, n: int = 1) -> Stream:
        return Stream(self._deltas(prompt, sampling, n))

    async def _deltas(self, prompt: Prompt, sampling: Sampling, n: int) -> AsyncGenerator[Delta, None]:
        raise NotImplementedError
        yield Delta()

    def load(self) -> Load:
        return Load(slots=self.slots)

    async def aclose(self) -> None:
        return None
