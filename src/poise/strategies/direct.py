"""One draw."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from poise.core import ROOT, Pick, Request, Score, Step
from poise.seams import Run
from poise.strategies.base import Plain


@dataclass(frozen=True, slots=True)
class Direct(Plain):
    """One draw that is asked for the answer alone. Cost: 1 call."""

    name: ClassVar[str] = "direct"
    prompt: str = "direct"

    async def solve(self, request: Request, run: Run) -> Pick | None:
        return self.pick(request, await run.draw([ROOT]), {})

    def pick(self, request: Request, steps: Sequence[Step], scores: Mapping[int, Score]) -> Pick | None:
        return Pick(steps[0]) if steps else None
