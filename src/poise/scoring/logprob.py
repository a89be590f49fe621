"""Scorers that read the draws' own logprobs. Free: no call, no token."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from poise.core import Ability, Path, Request, Score
from poise.errors import ConfigError
from poise.search import confidence
from poise.search.confidence import Span


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
        mean = confidence.windowed(confidence.per_token(logprobs), self.span, self.window)
        return Score(confidence.probability(mean))
