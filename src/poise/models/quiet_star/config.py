"""The numbers of Quiet-STaR, by the names that the paper and its released code give them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from poise.errors import ConfigError


class Bound(Enum):
    """What keeps the mixing weight in place. The release keeps it by nothing."""

    NONE = "none"
    CLAMP = "clamp"
    TANH = "tanh"


@dataclass(frozen=True, slots=True)
class QuietStarConfig:
    """`n_ahead`: passes a token, as the release counts them: the text's own, the start of the thought, its sampled
    tokens, and its end. `n_ahead_talk`: how many of the next text tokens a thought is judged by. `n_passes`: thoughts
    sampled per place in training; their mean reward is the baseline. `embedding_scale`: the start and end embeddings
    are kept divided by it, and so learn that much faster. `initial_start_token`, `initial_end_token`: the text whose
    embedding they begin as. `bound`: of the mixing weight. Raises ConfigError."""

    n_ahead: int = 8
    n_ahead_talk: int = 4
    n_passes: int = 2
    embedding_scale: float = 100.0
    initial_start_token: str = "---"
    initial_end_token: str = "---"
    bound: Bound = Bound.NONE

    def __post_init__(self) -> None:
        for knob, least in (("n_ahead", 3), ("n_ahead_talk", 1), ("n_passes", 1)):
            if getattr(self, knob) < least:
                raise ConfigError(knob, getattr(self, knob), f"{least} or more")
        if not self.embedding_scale > 0:
            raise ConfigError("embedding_scale", self.embedding_scale, "above 0")

    @property
    def thought_tokens(self) -> int:
        """Sampled tokens of a thought."""
        return self.n_ahead - 3

    @property
    def passes(self) -> int:
        """Those of a thought alone: all but the text's own."""
        return self.n_ahead - 1

    @property
    def columns(self) -> int:
        """Places that a thought and the talk after it take behind a text position."""
        return self.thought_tokens + 2 + self.n_ahead_talk - 1
