"""REBASE: reward-balanced search."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import ClassVar

from poise.core import Step
from poise.errors import ConfigError
from poise.search import allocate
from poise.strategies.by_depth import ByDepth
from poise.strategies.stepwise import Found

_MOST = 1_000_000_000


class Allocation(Enum):
    """How children are shared out: by exp(score / T_b), by what one more is worth while scores are unsure, or by
    exp(score / T_b) times how unlike the others a step is."""

    BALANCED = "balanced"
    UNCERTAIN = "uncertain"
    UNIQUE = "unique"


@dataclass(frozen=True, slots=True)
class Rebase(ByDepth):
    """Reward-balanced search (Wu et al. 2024, arXiv 2408.00724, section 3.1.2): each depth's children are shared among
    the unfinished paths in proportion to exp(score / `balance`) (T_b: .1 in the paper, .2 in the settings they ship),
    by largest remainder; leaves vote, weighted by score. The paper draws at temperature 1, with 256 tokens a step and
    1,024 a path (the request's `max_tokens`). `share`: `balanced` as above; `uncertain` takes a score for Beta(kappa
    p, kappa (1 - p)); `unique` adds DORA's uniqueness weights (arXiv 2506.15707; `sharpness`: their temperature). A
    depth ends with its slowest step; scores are taken beside the draws. Cost: at most `width` calls and scores a
    depth, fewer as paths end; `depth` depths at most; a short call for each path left open."""

    name: ClassVar[str] = "rebase"
    balance: float = 0.2
    share: Allocation = Allocation.BALANCED
    kappa: float = 8.0
    sharpness: float = 0.1

    def __post_init__(self) -> None:
        super(Rebase, self).__post_init__()
        for knob in ("balance", "kappa", "sharpness"):
            if not 0 < getattr(self, knob) <= _MOST:
                raise ConfigError(knob, getattr(self, knob), f"above 0, up to {_MOST:,}")

    def shares(self, nodes: Sequence[Step], found: Found, units: int, seed: str) -> list[int]:
        """By the scores of these steps alone: the process score of a prefix is its last step's."""
        scores = found.values(nodes)
        if self.share is Allocation.UNCERTAIN:
            return allocate.uncertain(scores, units, self.kappa)
        if self.share is Allocation.UNIQUE:
            texts = [node.text for node in nodes]
            return allocate.unique(scores, texts, units, self.balance, self.sharpness)
        return allocate.balanced(scores, units, self.balance)
