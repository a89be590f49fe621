"""Monte-Carlo tree search over steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from poise.core import ROOT, Pick, Request, Step
from poise.errors import ConfigError
from poise.seams import Run
from poise.search.tree import Tree
from poise.strategies.base import WIDEST, at_least
from poise.strategies.stepwise import Found, Stepwise, grown

_FAILURES = 3  # expansions in a row whose draws all failed: the engine is gone


@dataclass(frozen=True, slots=True)
class Mcts(Stepwise):
    """UCT over steps (Kocsis & Szepesvari 2006), with a scorer where others roll out: the most promising open node gets
    `expand` children, whose scores are counted at it and above, until `width` leaves are found or `iterations` are
    done; then the best open paths are closed, so that `width` vote. One expansion at a time; kept for comparison (below
    sampling at every budget in arXiv 2408.00724). Cost: at most `expand` x `iterations` calls and scores, and at most
    `width` closing calls."""

    name: ClassVar[str] = "mcts"
    expand: int = 4
    iterations: int = 32
    exploration: float = 0.1

    def __post_init__(self) -> None:
        super(Mcts, self).__post_init__()
        at_least("expand", self.expand, most=WIDEST)
        at_least("iterations", self.iterations)
        if not 0 <= self.exploration <= 1e6:
            raise ConfigError("exploration", self.exploration, "0 to 1,000,000")

    async def solve(self, request: Request, run: Run) -> Pick | None:
        found, tree = Found(), Tree(self.exploration)
        found.steps[0] = ROOT
        leaves, shut, failed = 0, list[Step](), 0
        async with run.flow() as flow:
            for _ in range(self.iterations):
                node = tree.select()
                if node is None or leaves >= self.width or failed >= _FAILURES:
                    break
                if not self.launch(run, flow, [found.steps[node]] * self.expand):
                    break
                steps = await grown(flow, found)
                failed = 0 if steps else failed + 1
                if not steps and node:
                    tree.close(node)
                    shut.append(found.steps[node])
                ends = {step.id: not self.is_open(run, step) for step in steps}
                tree.grow(node, ends)
                for step, value in zip(steps, found.values(steps), strict=True):
                    tree.backup(step.id, value)
                shut += [step for step in steps if ends[step.id]]
                leaves += sum(ends.values())
        del found.steps[0]
        await self.finish(run, [*shut, *self._best_open(found, tree, self.width - leaves)], found)
        return self.pick(request, list(found.steps.values()), found.scores)

    @staticmethod
    def _best_open(found: Found, tree: Tree, most: int) -> list[Step]:
        """At most so many paths that nobody went on from, the best first."""
        steps = [found.steps[node] for node in tree.frontier()]
        ranked = sorted(zip(steps, found.values(steps), strict=True), key=lambda pair: -pair[1])
        return [step for step, _ in ranked[: max(most, 0)]]
