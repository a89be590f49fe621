"""Monte-Carlo tree search over steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from poise.core import ROOT, Pick, Request, Step
from poise.errors import ConfigError
from poise.seams import Run
from poise.search.tree import Tree
from poise.strategies.base import at_least
from poise.strategies.stepwise import Found, Stepwise, grown, is_answer


@dataclass(frozen=True, slots=True)
class Mcts(Stepwise):
    """UCT over steps (Kocsis & Szepesvari 2006), with a scorer where others roll out: the most promising open node gets
    `expand` children, whose scores are counted at it and above, until `width` leaves are found or `iterations` are
    done. One expansion at a time; kept for comparison (below sampling at every budget in arXiv 2408.00724).
    Cost: at most `expand` x `iterations` calls and scores."""

    name: ClassVar[str] = "mcts"
    expand: int = 4
    iterations: int = 32
    exploration: float = 0.1

    def __post_init__(self) -> None:
        super(Mcts, self).__post_init__()
        at_least("expand", self.expand)
        at_least("iterations", self.iterations)
        if not 0 <= self.exploration <= 1e6:
            raise ConfigError("exploration", self.exploration, "0 to 1,000,000")

    async def solve(self, request: Request, run: Run) -> Pick | None:
        found, tree = Found(), Tree(self.exploration)
        found.steps[0] = ROOT
        leaves, shut = 0, list[Step]()
        async with run.flow() as flow:
            for _ in range(self.iterations):
                node = tree.select()
                if node is None or leaves >= self.width:
                    break
                self.launch(run, flow, [found.steps[node]] * self.expand)
                steps = await grown(flow, found)
                if not steps:
                    break
                for step, value in zip(steps, found.values(steps), strict=True):
                    ends = not self.is_open(run, step)
                    tree.add(step.id, node, leaf=ends)
                    tree.backup(step.id, value)
                    leaves += ends
                    shut += [step] if ends and not is_answer(step) else []
        del found.steps[0]
        await self.finish(run, shut or self._best_open(found), found)
        return self.pick(request, list(found.steps.values()), found.scores)

    def _best_open(self, found: Found) -> list[Step]:
        """The open step with the best score, where no path has ended."""
        steps = list(found.steps.values())
        if not steps or any(is_answer(step) for step in steps):
            return []
        return [max(zip(steps, found.values(steps), strict=True), key=lambda pair: pair[1])[0]]
