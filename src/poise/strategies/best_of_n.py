"""Best of n."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from poise.core import ROOT, Pick, Request, Score, Step
from poise.seams import Run
from poise.strategies.base import MOST_DRAWS, Plain, at_least

UNSCORED = Score(0.0)


@dataclass(frozen=True, slots=True)
class BestOfN(Plain):
    """n draws, the one with the top score (Cobbe et al. 2021, arXiv 2110.14168). A draft without a value of the asked
    kind wins only where no draft has one. Cost: n calls and n scores."""

    name: ClassVar[str] = "best_of_n"
    n: int = 8
    prompt: str = "cot"

    def __post_init__(self) -> None:
        at_least("n", self.n, most=MOST_DRAWS)

    @property
    def scored(self) -> bool:
        """Needs a scorer."""
        return True

    async def solve(self, request: Request, run: Run) -> Pick | None:
        steps = await run.draw([ROOT] * self.n)
        scores = await run.score(steps)
        return self.pick(request, steps, {step.id: score for step, score in zip(steps, scores, strict=True)})

    def pick(self, request: Request, steps: Sequence[Step], scores: Mapping[int, Score]) -> Pick | None:
        if not steps:
            return None
        best = max(steps, key=lambda step: (step.value is not None, scores.get(step.id, UNSCORED).value))
        sure = scores[best.id].value if best.value and best.id in scores else None
        return Pick(best, sure, len(steps))
