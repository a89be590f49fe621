"""Diverse verifier tree search."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from poise.core import ROOT, Pick, Request, Step
from poise.seams import Flow, Run
from poise.strategies.base import WIDEST, at_least
from poise.strategies.stepwise import Found, Stepwise


@dataclass(slots=True)
class _Subtree:
    """One subtree: how many steps it draws a depth, the node it goes on from, what is pending, what came, and whether
    it draws from there for the second time, since all first draws failed."""

    width: int
    node: Step = ROOT
    pending: int = 0
    again: bool = False
    steps: list[Step] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Dvts(Stepwise):
    """Diverse verifier tree search (Beeching et al. 2024, "Scaling test-time compute with open models"): `width` /
    `expand` independent subtrees; each draws `expand` steps and goes on from the best one, until that is a leaf. Leaves
    of all subtrees vote, weighted by score. No subtree waits for another: each goes on when its own scores are in.
    Cost: at most `width` calls and scores a depth, `depth` depths at most; a short call for each path left open."""

    name: ClassVar[str] = "dvts"
    expand: int = 4

    def __post_init__(self) -> None:
        super(Dvts, self).__post_init__()
        at_least("expand", self.expand, most=WIDEST)

    async def solve(self, request: Request, run: Run) -> Pick | None:
        found, survivors, owner = Found(), list[Step](), dict[int, _Subtree]()
        async with run.flow() as flow:
            for first in range(0, self.width, self.expand):
                self._grow(run, flow, _Subtree(min(self.expand, self.width - first)), owner)
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
                if subtree.pending:
                    continue
                if subtree.steps:
                    subtree.node, subtree.steps, subtree.again = self._best(subtree.steps, found), [], False
                    grew = self.is_open(run, subtree.node) and self._grow(run, flow, subtree, owner)
                else:
                    grew = not subtree.again and self._grow(run, flow, subtree, owner)
                    subtree.again = True
                if not grew and subtree.node.id:
                    survivors.append(subtree.node)
        await self.finish(run, survivors, found)
        return self.pick(request, list(found.steps.values()), found.scores)

    def _grow(self, run: Run, flow: Flow, subtree: _Subtree, owner: dict[int, _Subtree]) -> bool:
        """Draw a subtree's next depth; whether any of it was begun."""
        ids = self.launch(run, flow, [subtree.node] * subtree.width)
        subtree.pending = len(ids)
        owner |= dict.fromkeys(ids, subtree)
        return bool(ids)

    @staticmethod
    def _best(steps: Sequence[Step], found: Found) -> Step:
        return max(zip(steps, found.values(steps), strict=True), key=lambda pair: (pair[1], -pair[0].id))[0]
