"""Quiet-STaR and REBASE together: a search that chooses where to think."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import ClassVar

from poise import answers
from poise.core import ROOT, Ability, Finish, Pick, Request, Sampling, Score, Step, Thinking, ThinkingMode
from poise.errors import ConfigError
from poise.seams import Flow, Run
from poise.search import allocate, vote
from poise.strategies.base import at_least
from poise.strategies.rebase import Rebase
from poise.strategies.stepwise import Choice, Found, grown, is_answer, rooted

TRUSTED = 0.6
"""The AUROC within questions below which a scorer misleads more than it helps."""
_NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?")


class When(Enum):
    """Which steps think: none, all, or those below a step of which one cannot be sure."""

    NEVER = "never"
    ALWAYS = "always"
    UNSURE = "unsure"


class Modes(Found):
    """What was found, which steps were drawn with thoughts, and whether drafts left the question open."""

    def __init__(self) -> None:
        super().__init__()
        self.thoughtful: set[int] = set()
        self.open = False


@dataclass(frozen=True, slots=True)
class QuietStarRebase(Rebase):
    """The union of Quiet-STaR (Zelikman et al. 2024, arXiv 2403.09629) and REBASE (arXiv 2408.00724), with what the
    published union lacked (arXiv 2412.16260): thoughts are paid for, gated, and scored as text.

    A gate fixes one mode for all that is drawn below a step, fast or with thoughts; the budget is then shared out over
    the steps in units of cost. `width` counts fast steps; one that thinks costs 1 + `passes` * `thought_share` of them,
    its share of tokens with a thought (the engine's gate chooses which; 1: all). `when`: `unsure` thinks below steps
    whose score lies between `low` and `high`, and below siblings that do not agree on a number. First `drafts` whole
    answers are drawn, fast unless `drafts_think`: where a share of `agree` of them says the same, that is the answer;
    else the first steps think (where `when` lets any), and the drafts vote with the leaves. Let drafts think where fast
    answers are mostly wrong even when they agree. With `sure` below 1 they come one after the other, and one whose
    score reaches it is the answer as well.
    `auroc`: the scorer's, within questions, as measured; below .6 its scores neither share nor vote. Needs an engine
    with thoughts. Cost: `drafts` calls, then `width` units a depth, fewer as paths end; a short call for each path left
    open."""

    name: ClassVar[str] = "quiet_star_rebase"
    when: When = When.UNSURE
    thought_share: float = 0.15
    passes: int = 7
    low: float = 0.2
    high: float = 0.8
    drafts: int = 4
    drafts_think: bool = False
    agree: float = 0.75
    sure: float = 1.0
    auroc: float = 1.0

    def __post_init__(self) -> None:
        super(QuietStarRebase, self).__post_init__()
        at_least("passes", self.passes)
        at_least("drafts", self.drafts, 0)
        for knob in ("thought_share", "agree", "sure"):
            if not 0 < getattr(self, knob) <= 1:
                raise ConfigError(knob, getattr(self, knob), "above 0, up to 1")
        if not 0 <= self.low <= self.high <= 1:
            raise ConfigError("low", self.low, f"0 to high = {self.high}, which is 1 at most")
        if not 0 <= self.auroc <= 1:
            raise ConfigError("auroc", self.auroc, "0 to 1")

    @property
    def needs(self) -> frozenset[Ability]:
        """A child goes on from its parent's text, with thoughts or without."""
        return frozenset({Ability.CONTINUES, Ability.THOUGHTS})

    @property
    def price(self) -> float:
        """What a step with thoughts costs, in fast steps."""
        return 1 + self.passes * self.thought_share

    @property
    def trusts(self) -> bool:
        """Whether the scorer is good enough to go by."""
        return self.auroc >= TRUSTED

    async def solve(self, request: Request, run: Run) -> Pick | None:
        found = Modes()
        waits = self.sure < 1
        for _ in range(self.drafts if waits else min(self.drafts, 1)):
            drafted = await self._drafted(run, 1 if waits else self.drafts)
            told = [*found.steps.values(), *drafted]
            leaves = [step for step in told if is_answer(step, request.sampling.stop)]
            if self._agreed(request, leaves):
                return self.pick(request, told, {})
            found.add(drafted, await run.score(drafted) if drafted else [])
            if waits and self.trusts and max(found.values(leaves), default=0.0) >= self.sure:
                return self.pick(request, told, found.scores)
        found.open = self.drafts > 0
        return await self.search(request, run, found)

    async def _drafted(self, run: Run, count: int) -> list[Step]:
        """Whole answers; those that were cut are made to answer."""
        async with run.flow() as flow:
            flow.launch_all(rooted(count), self._sampling(run.sampling, thinks=self.drafts_think))
            steps = [done.step async for done in flow if done.step and done.step.finished]
        cut = [step for step in steps if step.draft.finish is Finish.LENGTH and not is_answer(step)]
        return sorted([*steps, *(await run.close(cut) if cut else [])], key=lambda step: step.id)

    def _agreed(self, request: Request, leaves: Sequence[Step]) -> bool:
        """Whether enough of the drafts mean the same; those that never came, or are no answers, count against it."""
        winner = vote.leader(answers.classes([step.value for step in leaves], request.kind))
        return winner is not None and winner.votes >= self.agree * self.drafts

    def pick(self, request: Request, steps: Sequence[Step], scores: Mapping[int, Score]) -> Pick | None:
        """See Stepwise.pick; a plain majority where the scorer is not to be trusted."""
        if self.trusts or self.choose is not Choice.WEIGHTED:
            return super(QuietStarRebase, self).pick(request, steps, scores)
        return super(QuietStarRebase, self).pick(request, steps, {})

    async def first(self, run: Run, flow: Flow, found: Found) -> tuple[list[Step], float]:
        parents = rooted(max(1, int(self.width // (self.price if self._thinks(ROOT, found) else 1))))
        self.branch(run, flow, parents, found)
        return await grown(flow, found), self.width

    def children(self, nodes: Sequence[Step], found: Found, units: float, seed: str) -> list[int]:
        """By what the units buy below each step in its mode."""
        scores = found.values(nodes) if self.trusts else [0.5] * len(nodes)
        prices = [self.price if self._thinks(node, found) else 1.0 for node in nodes]
        return allocate.priced(scores, prices, units, self.balance)

    def branch(self, run: Run, flow: Flow, parents: Sequence[Step], found: Found) -> list[int]:
        """Fast steps first, then those that think."""
        ids = []
        for thinks in (False, True):
            some = [parent for parent in parents if self._thinks(parent, found) is thinks]
            sampling = self._sampling(self.step_sampling(run), thinks=thinks)
            made = flow.launch_all(some, sampling, path_tokens=run.sampling.max_tokens) if some else []
            if thinks and isinstance(found, Modes):
                found.thoughtful |= set(made)
            ids += made
        return ids

    def spent(self, ended: Sequence[Step], found: Found) -> float:
        """By the mode in which each last step was drawn."""
        thoughtful = found.thoughtful if isinstance(found, Modes) else ()
        return sum(self.price if step.id in thoughtful else 1.0 for step in ended)

    def _thinks(self, parent: Step, found: Found) -> bool:
        """Whether the steps below this one think."""
        if self.when is not When.UNSURE:
            return self.when is When.ALWAYS
        if not parent.id:
            return isinstance(found, Modes) and found.open
        score = found.scores.get(parent.id)
        if self.trusts and score is not None and not score.failure and self.low <= score.value <= self.high:
            return True
        siblings = [step for step in found.steps.values() if step.parent == parent.parent and _goes_on(step)]
        return disagree([step.text for step in siblings])

    def _sampling(self, sampling: Sampling, *, thinks: bool) -> Sampling:
        """With thoughts before the gate's share of tokens, or without any."""
        if not thinks:
            return replace(sampling, thinking=Thinking(ThinkingMode.OFF))
        mode = ThinkingMode.EXACT if self.thought_share == 1 else ThinkingMode.GATED
        return replace(sampling, thinking=Thinking(mode, self.thought_share))


def _goes_on(step: Step) -> bool:
    return step.draft.finish is Finish.DELIMITER


def disagree(texts: Sequence[str]) -> bool:
    """Whether no number ends more than half of some steps; a single step agrees with itself."""
    last = Counter(found[-1].replace(",", "") if (found := _NUMBER.findall(text)) else "" for text in texts)
    return bool(last) and max(last.values()) <= len(texts) / 2
