"""Sequential voting with early stops, launched through a window."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import ClassVar

from poise import answers
from poise.core import Pick, Request, Score, Step
from poise.costs import Load
from poise.errors import ConfigError
from poise.seams import Flow, Run
from poise.search import stop, vote
from poise.strategies.base import MOST_DRAWS, Plain, at_least, voted


class StopRule(Enum):
    """When enough votes are in: a lead of k; P(leader is the majority) >= bar; the leader cannot be overtaken."""

    MARGIN = "margin"
    BETA = "beta"
    DECIDED = "decided"


@dataclass(frozen=True, slots=True)
class AdaptiveConsistency(Plain):
    """At most n draws, stopped once the vote is settled. `margin` stops at a lead of `k`; `beta` at
    P(p1 > 1/2) >= `bar` under Beta(v1 + 1, v2 + 1) (Aggarwal et al. 2023, arXiv 2305.11860); every rule also stops when
    the leader cannot be overtaken. Only as many draws are in flight as votes could still be needed, plus `slack`
    (None: 2 where the engine has free slots, else 0); losers in flight at the stop are cancelled and billed.
    Cost: 2 to n calls."""

    name: ClassVar[str] = "adaptive_consistency"
    n: int = 10
    rule: StopRule = StopRule.MARGIN
    k: int = 2
    bar: float = 0.95
    slack: int | None = None
    prompt: str = "cot"

    def __post_init__(self) -> None:
        at_least("n", self.n, most=MOST_DRAWS)
        at_least("k", self.k)
        if not 0.5 < self.bar < 1:
            raise ConfigError("bar", self.bar, "above 0.5, below 1")
        if self.slack is not None:
            at_least("slack", self.slack, 0)

    async def solve(self, request: Request, run: Run) -> Pick | None:
        steps: list[Step] = []
        agreed = False
        async with run.flow() as flow:
            launched = self._top_up(flow, run.load(), vote.Tally(), 0)
            async for done in flow:
                if done.step:
                    steps.append(done.step)
                tally = vote.Tally.of(answers.classes([step.value for step in steps], request.kind))
                left = self.n - launched + flow.pending
                if self._settled(*tally.top_two(), left):
                    agreed = left > 0
                    break
                launched = self._top_up(flow, run.load(), tally, launched)
        pick = self.pick(request, steps, {})
        return replace(pick, agreed=agreed) if pick else None

    def pick(self, request: Request, steps: Sequence[Step], scores: Mapping[int, Score]) -> Pick | None:
        return voted(request, steps)

    def _settled(self, first: int, second: int, left: int) -> bool:
        if stop.decided(first, second, left):
            return True
        if self.rule is StopRule.MARGIN:
            return stop.margin(first, second, self.k)
        return self.rule is StopRule.BETA and stop.beta(first, second, self.bar)

    def _top_up(self, flow: Flow, load: Load, tally: vote.Tally, launched: int) -> int:
        """Launch until as many draws are in flight as votes could still be needed, plus slack; all launched so far."""
        left = self.n - launched + flow.pending
        window = stop.wanted(self._settled, *tally.top_two(), left) + self._slack(load)
        while launched < self.n and flow.pending < window and flow.launch() is not None:
            launched += 1
        return launched

    def _slack(self, load: Load) -> int:
        if self.slack is not None:
            return self.slack
        return 2 if load.slots and load.in_flight + load.queued < load.slots else 0
