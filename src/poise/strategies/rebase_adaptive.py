"""REBASE with a width for each question."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from poise.core import Step
from poise.errors import ConfigError
from poise.seams import Flow, Run
from poise.search.allocate import width_for
from poise.strategies.base import at_least
from poise.strategies.rebase import Rebase
from poise.strategies.stepwise import Found, grown, rooted


@dataclass(frozen=True, slots=True)
class RebaseAdaptive(Rebase):
    """REBASE (arXiv 2408.00724) whose width fits the question: the mean score p of `probes` first steps is taken for
    the chance of a right draw, and N = ceil(ln(1 - q) / ln(1 - p)) paths, `width` at most, make one right with
    probability q = `sure`. As good as the scorer is calibrated. Cost: `probes` to `width` calls and scores at the
    first depth, then as REBASE."""

    name: ClassVar[str] = "rebase_adaptive"
    probes: int = 4
    sure: float = 0.99

    def __post_init__(self) -> None:
        super(RebaseAdaptive, self).__post_init__()
        at_least("probes", self.probes)
        if not 0 < self.sure < 1:
            raise ConfigError("sure", self.sure, "above 0, below 1")

    async def first(self, run: Run, flow: Flow, found: Found) -> tuple[list[Step], float]:
        self.launch(run, flow, rooted(min(self.probes, self.width)))
        nodes = await grown(flow, found)
        if not nodes:
            return nodes, 0
        width = width_for(sum(found.values(nodes)) / len(nodes), self.sure, self.width)
        if width > len(nodes):
            self.launch(run, flow, rooted(width - len(nodes)))
            nodes += await grown(flow, found)
        return nodes, max(width, len(nodes))
