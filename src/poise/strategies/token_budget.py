"""Token budget in the prompt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from poise.strategies.base import at_least
from poise.strategies.direct import Direct


@dataclass(frozen=True, slots=True)
class TokenBudget(Direct):
    """One draw that is asked to "use less than n tokens" (TALE, Han et al. 2024, arXiv 2412.18547). The model is asked,
    not forced: the ceiling that holds is `Budget.new_tokens`. Cost: 1 call."""

    name: ClassVar[str] = "token_budget"
    prompt: str = "token_budget"
    n: int = 50

    def __post_init__(self) -> None:
        at_least("n", self.n)
