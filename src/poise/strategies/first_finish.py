"""First m of k to finish."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from poise.core import Pick, Request, Score, Step
from poise.errors import ConfigError
from poise.seams import Run
from poise.strategies.base import MOST_DRAWS, Plain, at_least, voted


@dataclass(frozen=True, slots=True)
class FirstFinish(Plain):
    """k streams at once; the first m with an answer vote, the rest are cancelled (short-m@k, Hassid et al. 2025,
    arXiv 2505.17813). Ties go to the one that finished first. Cost: k calls, cut short."""

    name: ClassVar[str] = "first_finish"
    k: int = 8
    m: int = 3
    prompt: str = "cot"

    def __post_init__(self) -> None:
        at_least("k", self.k, most=MOST_DRAWS)
        at_least("m", self.m)
        if self.m > self.k:
            raise ConfigError("m", self.m, f"1 to k = {self.k}")

    async def solve(self, request: Request, run: Run) -> Pick | None:
        steps: list[Step] = []
        enough = False
        async with run.flow() as flow:
            while flow.pending < self.k and flow.launch() is not None:
                pass
            async for done in flow:
                if done.step:
                    steps.append(done.step)
                enough = sum(step.value is not None for step in steps) >= self.m
                if enough:
                    break
        pick = self.pick(request, steps, {})
        return replace(pick, agreed=enough) if pick else None

    def pick(self, request: Request, steps: Sequence[Step], scores: Mapping[int, Score]) -> Pick | None:
        return voted(request, steps)
