"""What went wrong in the published union of Quiet-STaR and REBASE, each flaw to be switched on by itself."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import ClassVar

from poise.core import Pick, Request, Role, Rule, Sampling, Score, Step, Value
from poise.seams import Run
from poise.strategies.base import is_over, voted
from poise.strategies.quiet_star_rebase import QuietStarRebase
from poise.strategies.stepwise import Choice, Found

_INTEGER = re.compile(r"-?\d+")


class Flaw(Enum):
    """LEAF: a path counts as an answer as soon as question or text hold a number, so the tree hardly grows. CUT: a step
    is whatever fits into some tokens, and ends in the middle of a line. LAST_INTEGER: the last whole number of the text
    is read as its answer, stated or not. ARGMAX: the leaf with the best score wins, and nobody votes."""

    LEAF = "leaf"
    CUT = "cut"
    LAST_INTEGER = "last_integer"
    ARGMAX = "argmax"


@dataclass(frozen=True, slots=True)
class PublishedUnion(QuietStarRebase):
    """The union with some of the flaws of the published one (arXiv 2412.16260 and its code): always thinking, never
    gated. With `flaws` empty it is `quiet_star_rebase`. `cut`: tokens of a step with that flaw, as published; fewer for
    answers that would never be so long. For the study alone. Cost: as there, or less: what stops early is cheap."""

    name: ClassVar[str] = "published_union"
    flaws: tuple[Flaw, ...] = ()
    cut: int = 96

    def step_sampling(self, run: Run) -> Sampling:
        sampling = super(PublishedUnion, self).step_sampling(run)
        if Flaw.CUT not in self.flaws:
            return sampling
        return replace(sampling, stop=run.sampling.stop, max_tokens=min(self.cut, run.sampling.max_tokens))

    async def solve(self, request: Request, run: Run) -> Pick | None:
        asked = "".join(message.text for message in request.messages if message.role is Role.USER)
        if Flaw.LEAF in self.flaws and _INTEGER.search(asked):
            return await super(PublishedUnion, replace(self, depth=1)).solve(request, run)
        return await super(PublishedUnion, self).solve(request, run)

    def is_open(self, run: Run, step: Step) -> bool:
        if Flaw.LEAF in self.flaws and _INTEGER.search("".join(part.text for part in run.path(step))):
            return False
        return super(PublishedUnion, self).is_open(run, step)

    async def finish(self, run: Run, survivors: Sequence[Step], found: Found) -> None:
        """What the leaf rule took for an answer is left as it is."""
        if Flaw.LEAF not in self.flaws:
            await super(PublishedUnion, self).finish(run, survivors, found)

    def pick(self, request: Request, steps: Sequence[Step], scores: Mapping[int, Score]) -> Pick | None:
        flaws = frozenset(self.flaws)
        if Flaw.LAST_INTEGER in flaws:
            steps = [replace(step, value=last_integer(step.text)) for step in steps]
        choose = Choice.BEST if Flaw.ARGMAX in flaws else self.choose
        if not flaws & {Flaw.LEAF, Flaw.LAST_INTEGER}:
            return super(PublishedUnion, replace(self, choose=choose)).pick(request, steps, scores)
        parents = {step.parent for step in steps}
        leaves = [step for step in steps if step.id not in parents or is_over(step, request.sampling.stop)]
        values = [scores[leaf.id].value if leaf.id in scores else 0.0 for leaf in leaves]
        if choose is not Choice.BEST or not leaves:
            return voted(request, leaves, values if any(values) else None)
        best = max(zip(leaves, values, strict=True), key=lambda pair: (pair[0].value is not None, pair[1]))
        return Pick(best[0], best[1] if best[0].value else None, len(leaves))


def last_integer(text: str) -> Value | None:
    """The last whole number of a text, as the published code reads an answer."""
    found = _INTEGER.findall(text)
    return Value(found[-1], Rule.LAST_NUMBER) if found else None
