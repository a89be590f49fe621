"""Density."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from poise.core import Ability, Path, Request, Score
from poise.search import density


@dataclass(frozen=True, slots=True)
class Density:
    """Distinct entities per token of a path's text, read off by rules (see `poise.search.density`). It tells how much a
    text names, not whether that is right: for the record, and for the control of Chain of Density at equal cost, the
    densest of n drafts. Cost: none."""

    name: ClassVar[str] = "density"
    needs: ClassVar[frozenset[Ability]] = frozenset()
    top_logprobs: ClassVar[int | None] = None

    async def score(self, request: Request, paths: Sequence[Path]) -> list[Score]:
        texts = ["".join(step.text for step in path) for path in paths]
        return [
            Score(density.density(text)) if density.tokens(text) else Score(0.0, failure="nothing was said")
            for text in texts
        ]
