"""Cascade: cheap first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from poise.core import Ability, Pick, Request, Score, Step
from poise.errors import ConfigError
from poise.seams import Run, Strategy
from poise.strategies.self_consistency import SelfConsistency


@dataclass(frozen=True, slots=True)
class Cascade:
    """Arms in order of cost; the first whose confidence (its share of a vote, the score of its best) reaches `accept`
    answers, else the most confident one (after Dekoninck et al. 2024, arXiv 2410.10347, and AutoMix, Aggarwal et al.
    2023, arXiv 2310.12963). An arm that states no confidence is escalated from, and believed over those before it. An
    arm that fails, or for which nothing is left, is passed over. `roles` names the engine role of each arm, so arms may
    be other models. Cost: the arms opened."""

    name: ClassVar[str] = "cascade"
    arms: tuple[Strategy, ...] = (SelfConsistency(3), SelfConsistency(8))
    accept: float = 0.8
    roles: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.arms:
            raise ConfigError("arms", self.arms, "at least one strategy")
        if not 0 < self.accept <= 1:
            raise ConfigError("accept", self.accept, "above 0, up to 1")
        if self.roles and len(self.roles) != len(self.arms):
            raise ConfigError("roles", self.roles, f"one engine role per arm ({len(self.arms)}), or none")

    @property
    def prompt(self) -> str:
        """The first arm's; every arm renders its own."""
        return self.arms[0].prompt

    @property
    def needs(self) -> frozenset[Ability]:
        """All that any arm needs."""
        return frozenset().union(*(arm.needs for arm in self.arms))

    @property
    def scored(self) -> bool:
        """Whether any arm scores."""
        return any(arm.scored for arm in self.arms)

    async def solve(self, request: Request, run: Run) -> Pick | None:
        best: Pick | None = None
        for arm, role in zip(self.arms, self.roles or ("main",) * len(self.arms), strict=True):
            pick = await run.fork(arm, role=role)
            if pick and (best is None or _better(pick, best)):
                best = pick
            if best and (best.confidence or 0.0) >= self.accept:
                break
        return best

    def pick(self, request: Request, steps: Sequence[Step], scores: Mapping[int, Score]) -> Pick | None:
        """By the rule of the last arm that has a choice among what is finished, whichever arm drew it."""
        picks = (arm.pick(request, steps, scores) for arm in reversed(self.arms))
        return next((pick for pick in picks if pick), None)


def _better(later: Pick, earlier: Pick) -> bool:
    """Whether the pick of a later, dearer arm replaces an earlier one."""
    if later.step.value is None:
        return earlier.step.value is None
    if later.confidence is None or earlier.confidence is None:
        return True
    return later.confidence >= earlier.confidence
