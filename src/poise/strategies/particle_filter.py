"""Particle filtering over steps."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from poise.core import Step
from poise.search import resample
from poise.strategies.by_depth import ByDepth
from poise.strategies.stepwise import Found


@dataclass(frozen=True, slots=True)
class ParticleFilter(ByDepth):
    """Particles that are resampled after each step by the odds of their scores, score / (1 - score), which is the
    softmax of their logits (Puri et al. 2025, arXiv 2502.01618, section 3); systematically, by chance of the run's
    seed. A particle that has ended keeps its place (there it may be copied), and votes, weighted by score.
    Cost: at most `width` calls and scores a depth, `depth` depths at most; a short call for each path left open."""

    name: ClassVar[str] = "particle_filter"

    def shares(self, nodes: Sequence[Step], found: Found, units: int, seed: str) -> list[int]:
        """Copies per particle."""
        return resample.systematic(resample.odds(found.values(nodes)), units, random.Random(seed).random())
