"""Budget forcing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from poise import prompts
from poise.core import ROOT, Ability, Pick, Request, Score, Step
from poise.seams import Run
from poise.strategies.base import Plain, at_least
from poise.strategies.forced import concludes, conclusion


@dataclass(frozen=True, slots=True)
class BudgetForcing(Plain):
    """One draw of at most `reasoning_tokens`; where it is cut there, or ends without a value, the closing suffix and a
    few greedy tokens force the answer (s1, Muennighoff et al. 2025, arXiv 2501.19393). `continuations`: how often a
    text that ends early is made to go on by "Wait", within the same cap; a re-analysis (arXiv 2507.14419) finds that
    the gain is the cap, so none is the default. Cost: 1 call, 1 more where an answer is forced, and the continuations.
    """

    name: ClassVar[str] = "budget_forcing"
    reasoning_tokens: int = 128
    continuations: int = 0
    prompt: str = "cot"

    def __post_init__(self) -> None:
        at_least("reasoning_tokens", self.reasoning_tokens)
        at_least("continuations", self.continuations, 0)

    @property
    def needs(self) -> frozenset[Ability]:
        """A forced answer goes on from the reasoning."""
        return frozenset({Ability.CONTINUES})

    async def solve(self, request: Request, run: Run) -> Pick | None:
        steps = await self._drawn(run, ROOT, "")
        for _ in range(self.continuations):
            if not steps or not concludes(request, steps[-1]):
                break
            more = await self._drawn(run, steps[-1], prompts.waiting(request))
            if not more:
                break
            steps += more
        if steps and not (concludes(request, steps[-1]) and steps[-1].value):
            steps += await run.close(steps[-1:])
        return self.pick(request, steps, {})

    def pick(self, request: Request, steps: Sequence[Step], scores: Mapping[int, Score]) -> Pick | None:
        """The last answer on the path; none while it is only reasoning."""
        last = conclusion(request, steps)
        return Pick(last) if last else None

    async def _drawn(self, run: Run, parent: Step, suffix: str) -> list[Step]:
        """The path gone on with, as far as the cap allows."""
        cap = min(self.reasoning_tokens, run.sampling.max_tokens)
        left = cap - sum(step.draft.tokens for step in run.path(parent))
        if left <= 0:
            return []
        async with run.flow() as flow:
            flow.launch(parent, replace(run.sampling, max_tokens=left), suffix=suffix)
            return [done.step async for done in flow if done.step]
