"""Chain of Thought."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from poise.strategies.direct import Direct


@dataclass(frozen=True, slots=True)
class ChainOfThought(Direct):
    """One draw that is asked to think step by step (Wei et al. 2022, arXiv 2201.11903). Cost: 1 call."""

    name: ClassVar[str] = "cot"
    prompt: str = "cot"
