"""Scorers that read the draws' own logprobs. Free: no call, no token."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import ClassVar

import numpy as np

from poise.core import Ability, Path, Request, Score
from poise.errors import ConfigError


class Span(Enum):
    """Which tokens count: all, the last `window`, or the `window` with the lowest mean."""

    MEAN = "mean"
    TAIL = "tail"
    LOWEST = "lowest"


@dataclass(frozen=True, slots=True)
class MeanLogprob:
    """exp(mean logprob) of the path's tokens, in (0, 1]: their geometric mean probability. `tail` and `lowest` follow
    DeepConf (Fu et al. 2025, arXiv 2508.15260, section 3.1). Cost: none."""

    span: Span = Span.MEAN
    window: int = 64
    name: ClassVar[str] = "mean_logprob"
    needs: ClassVar[frozenset[Ability]] = frozenset({Ability.LOGPROBS})
    top_logprobs: ClassVar[int | None] = 0

    def __post_init__(self) -> None:
        if not 1 <= self.window <= 1_000_000:
            raise ConfigError("window", self.window, "1 to 1,000,000 tokens")

    async def score(self, request: Request, paths: Sequence[Path]) -> list[Score]:
        return [self._one([logprob for step in path for logprob in step.draft.logprobs]) for path in paths]

    def _one(self, logprobs: list[float]) -> Score:
        if not logprobs:
            return Score(0.0, failure="the draft carries no logprobs")
        values = np.maximum(np.asarray(logprobs), -100.0)
        if self.span is Span.TAIL:
            mean = values[-self.window :].mean()
        elif self.span is Span.LOWEST and len(values) > self.window:
            sums = np.convolve(values, np.ones(self.window), "valid")
            mean = sums.min() / self.window
        else:
            mean = values.mean()
        return Score(min(math.exp(mean), 1.0))
