"""Searches that advance one depth at a time: draw, score beside it, share the next depth out, go on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from poise.core import ROOT, Pick, Request, Step
from poise.seams import Flow, Run
from poise.strategies.stepwise import Found, Stepwise, grown, rooted


@dataclass(frozen=True, slots=True)
class ByDepth(Stepwise):
    """`width` first steps, then as many children in all as paths are still unfinished, until none is: B_i = B_(i-1) -
    C_i. A subclass says how they are shared out. A draw that failed is drawn again at the next depth, from whatever
    parent its share then falls to; a parent whose draws all failed is still there then."""

    def shares(self, nodes: Sequence[Step], found: Found, units: int, seed: str) -> list[int]:
        """Children per open node; `seed`: of this run and depth, where chance decides."""
        raise NotImplementedError

    def children(self, nodes: Sequence[Step], found: Found, units: float, seed: str) -> list[int]:
        """The same where units are more than paths."""
        return self.shares(nodes, found, int(units), seed)

    async def first(self, run: Run, flow: Flow, found: Found) -> tuple[list[Step], float]:
        """The first steps, and how many paths there are to be, in units of one."""
        self.launch(run, flow, rooted(self.width))
        return await grown(flow, found), self.width

    def branch(self, run: Run, flow: Flow, parents: Sequence[Step], found: Found) -> list[int]:
        """Draw one step under each parent; their ids."""
        return self.launch(run, flow, parents)

    def spent(self, ended: Sequence[Step], found: Found) -> float:
        """Units that paths which have ended took."""
        return len(ended)

    async def solve(self, request: Request, run: Run) -> Pick | None:
        return await self.search(request, run, Found())

    async def search(self, request: Request, run: Run, found: Found) -> Pick | None:
        """The whole search, into `found`, whose leaves so far vote, too."""
        survivors = list[Step]()
        async with run.flow() as flow:
            nodes, units = await self.first(run, flow, found)
            for depth in range(1, self.depth + 1):
                going_on, ended = list[Step](), list[Step]()
                for node in nodes:
                    (going_on if self.is_open(run, node) else ended).append(node)
                survivors += ended
                units -= self.spent(ended, found)
                nodes = going_on
                if units <= 0 or not (going_on or depth == 1):
                    break
                parents = self._parents(going_on, found, units, f"{run.seed}/{depth}")
                self.branch(run, flow, parents, found)
                made = await grown(flow, found)
                if not made:  # every draw failed, or no ceiling has room
                    break
                nodes = made + _childless(parents, made)
            survivors += nodes
        await self.finish(run, survivors, found)
        return self.pick(request, list(found.steps.values()), found.scores)

    def _parents(self, nodes: Sequence[Step], found: Found, units: float, seed: str) -> list[Step]:
        """The parent of each of the next depth's children: the root again where all first draws that lived are over."""
        if not nodes:
            return rooted(int(units))
        counts = self.children(nodes, found, units, seed)
        return [node for node, count in zip(nodes, counts, strict=True) for _ in range(count)]


def _childless(parents: Sequence[Step], made: Sequence[Step]) -> list[Step]:
    """Parents all of whose draws failed."""
    alive = {step.parent for step in made} | {ROOT.id}
    return list({parent.id: parent for parent in parents if parent.id not in alive}.values())
