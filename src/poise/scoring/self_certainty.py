"""Self-certainty."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from poise.core import Ability, Path, Request, Score
from poise.errors import ConfigError


@dataclass(frozen=True, slots=True)
class SelfCertainty:
    """Mean KL divergence of the uniform distribution from the next-token distribution (Kang et al. 2025, arXiv
    2502.18581), mapped to [0, 1) by x / (1 + x). Approximation: only the top `top` logprobs are read and the rest of
    the mass is spread evenly over `vocabulary`, so the tail dominates. Cost: none."""

    top: int = 20
    vocabulary: int = 50_000
    name: ClassVar[str] = "self_certainty"
    needs: ClassVar[frozenset[Ability]] = frozenset({Ability.LOGPROBS})

    def __post_init__(self) -> None:
        if not 1 <= self.top <= 20:
            raise ConfigError("top", self.top, "1 to 20, as far as servers report alternatives")
        if self.vocabulary <= self.top:
            raise ConfigError("vocabulary", self.vocabulary, f"more than top = {self.top}")

    @property
    def top_logprobs(self) -> int | None:
        """Draws must record this many alternatives."""
        return self.top

    async def score(self, request: Request, paths: Sequence[Path]) -> list[Score]:
        return [self._one([tops for step in path for tops in step.draft.alternatives]) for path in paths]

    def _one(self, alternatives: list[tuple[float, ...]]) -> Score:
        tops = [top for top in alternatives if top]
        if not tops:
            return Score(0.0, failure="the draft carries no alternative logprobs")
        certainty = sum(self._divergence(np.asarray(top)) for top in tops) / len(tops)
        return Score(certainty / (1.0 + certainty))

    def _divergence(self, top: np.ndarray[tuple[int], np.dtype[np.float64]]) -> float:
        rest = max(1.0 - float(np.exp(top).sum()), 1e-9)
        others = self.vocabulary - len(top)
        mean_log = (float(top.sum()) + others * np.log(rest / others)) / self.vocabulary
        return max(float(-np.log(self.vocabulary) - mean_log), 0.0)
