"""Weighted vote."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from poise.core import Pick, Request, Score, Step
from poise.strategies.base import voted
from poise.strategies.best_of_n import UNSCORED, BestOfN


@dataclass(frozen=True, slots=True)
class WeightedVote(BestOfN):
    """n draws, the answer class with the largest sum of scores (Li et al. 2023, arXiv 2206.02336). Drafts that could
    not be scored in time vote with weight 0, unless none was scored: then it is a plain majority.
    Cost: n calls and n scores."""

    name: ClassVar[str] = "weighted_vote"

    def pick(self, request: Request, steps: Sequence[Step], scores: Mapping[int, Score]) -> Pick | None:
        weights = [scores.get(step.id, UNSCORED).value for step in steps]
        return voted(request, steps, weights if any(weights) else None)
