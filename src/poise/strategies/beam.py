"""Beam search over steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from poise.core import Step
from poise.search.allocate import kept
from poise.strategies.base import WIDEST, at_least
from poise.strategies.by_depth import ByDepth
from poise.strategies.stepwise import Found


@dataclass(frozen=True, slots=True)
class Beam(ByDepth):
    """Step beams (Snell et al. 2024, arXiv 2408.03314, section 5.2): at each depth the best `width` / `expand` paths
    are kept, and each gets `expand` children. Leaves leave the beam, and vote in the end, weighted by score.
    Cost: at most `width` calls and scores a depth, `depth` depths at most; a short call for each path left open."""

    name: ClassVar[str] = "beam"
    expand: int = 4

    def __post_init__(self) -> None:
        super(Beam, self).__post_init__()
        at_least("expand", self.expand, most=WIDEST)

    def shares(self, nodes: Sequence[Step], found: Found, units: int, seed: str) -> list[int]:
        """`expand` for each of the best; the last one kept gets what is left."""
        return kept(found.values(nodes), units, self.expand)
