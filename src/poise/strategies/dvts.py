"""Diverse verifier tree search."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from poise.core import ROOT, Pick, Request, Step
from poise.seams import Flow, Run
from poise.strategies.base import at_least
from poise.strategies.stepwise import Found, Stepwise, is_answer


@dataclass(slots=True)
class _Subtree:
    """One subtree: what is pending at its present depth, and the steps that came."""

    pending: int = 0
    steps: list[Step] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Dvts(Stepwise):
    """Diverse verifier tree search (Beeching et al. 2024, "Scaling test-time compute with open models"): `width` /
    `expand` independent subtrees; each draws `expand` steps and goes on from the best one, until that is a leaf. Leaves
    of all subtrees vote, weighted by score. No subtree waits for another: each goes on when its own scores are in.
    Cost: at most `width` calls and scores a depth, `depth` depths at most."""

    name: ClassVar[str] = "dvts"
    expand: int = 4

    def __post_init__(self) -> None:
        super(Dvts, self).__post_init__()
        at_least("expand", self.expand)

    async def solve(self, request: Request, run: Run) -> Pick | None:
        found, capped, owner = Found(), list[Step](), dict[int, _Subtree]()
        async with run.flow() as flow:
            for first in range(0, self.width, self.expand):
                self._grow(run, flow, ROOT, min(self.expand, self.width - first), (_Subtree(), owner))
            async for done in flow:
                subtree = owner[done.id]
                if done.score is None and done.step and done.step.finished:
                    subtree.steps.append(done.step)
                    found.steps[done.id] = done.step
                    flow.score(done.step)
                    continue
                if done.score is not None:
                    found.scores[done.id] = done.score
                subtree.pending -= 1
                if subtree.pending or not subtree.steps:
                    continue
                best = self._best(subtree.steps, found)
                subtree.steps = []
                if self.is_open(run, best):
                    grew = self._grow(run, flow, best, self.expand, (subtree, owner))
                    capped += [] if grew else [best]
                elif not is_answer(best):
                    capped.append(best)
        await self.finish(run, capped, found)
        return self.pick(request, list(found.steps.values()), found.scores)

    def _grow(
        self, run: Run, flow: Flow, node: Step, count: int, subtree: tuple[_Subtree, dict[int, _Subtree]]
    ) -> bool:
        """Draw `count` steps from a node; whether any was begun."""
        own, owner = subtree
        ids = self.launch(run, flow, [node] * count)
        own.pending = len(ids)
        owner |= dict.fromkeys(ids, own)
        return bool(ids)

    @staticmethod
    def _best(steps: Sequence[Step], found: Found) -> Step:
        return max(zip(steps, found.values(steps), strict=True), key=lambda pair: (pair[1], -pair[0].id))[0]
