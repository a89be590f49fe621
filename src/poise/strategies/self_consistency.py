"""Self-consistency."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from poise.core import ROOT, Pick, Request, Score, Step
from poise.seams import Run
from poise.strategies.base import MOST_DRAWS, Plain, at_least, voted


@dataclass(frozen=True, slots=True)
class SelfConsistency(Plain):
    """n draws at once, majority of equivalent answers (Wang et al. 2022, arXiv 2203.11171). Cost: n calls."""

    name: ClassVar[str] = "self_consistency"
    n: int = 8
    prompt: str = "cot"

    def __post_init__(self) -> None:
        at_least("n", self.n, most=MOST_DRAWS)

    async def solve(self, request: Request, run: Run) -> Pick | None:
        return self.pick(request, await run.draw([ROOT] * self.n), {})

    def pick(self, request: Request, steps: Sequence[Step], scores: Mapping[int, Score]) -> Pick | None:
        return voted(request, steps)
