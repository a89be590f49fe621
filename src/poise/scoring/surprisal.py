"""The verifier without a second reading: its head over the logprobs that the policy told while it drew."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path as FilePath
from typing import ClassVar

import numpy as np

from poise.core import Ability, Path, Request, Score
from poise.errors import ConfigError
from poise.models.head import Head, features_at, load_head
from poise.scoring.verifier import HEADS, lines_of

_ALLOWED = "a head of surprisal alone; the scorer verifier reads states"


class Surprisal:
    """P(this path ends right) from the surprisal (minus logprob) of the tokens that were drawn: the head of `verifier`,
    or one in `folder` that reads nothing else. It sees what the verifier sees where the policy of the head drew the
    path itself, as the default engine does, and then costs nothing: no call, no token, no PyTorch. Draws of another
    model it ranks too, but the probabilities are not calibrated for them. Text that was given and not drawn (a closing
    suffix) is passed over. Raises ModelError without a head, ConfigError for one that reads hidden states."""

    name: ClassVar[str] = "surprisal"
    needs: ClassVar[frozenset[Ability]] = frozenset({Ability.LOGPROBS})
    top_logprobs: ClassVar[int | None] = 0

    def __init__(self, folder: str = "") -> None:
        self._folder = FilePath(folder) if folder else HEADS / "verifier"
        self._head: Head | None = None

    def ready(self) -> None:
        """Read the head, once."""
        self._ready_head()

    async def score(self, request: Request, paths: Sequence[Path]) -> list[Score]:
        head = self._ready_head()
        return [_one(head, path) for path in paths]

    def _ready_head(self) -> Head:
        if self._head is None:
            head = load_head(self._folder)
            if head.card.layers or head.card.pooled or not head.card.surprise:
                raise ConfigError(f"scorer {self.name}", f"a head of hidden states in {self._folder}", _ALLOWED)
            self._head = head
        return self._head


def _one(head: Head, path: Path) -> Score:
    told = np.array([[-logprob for step in path for logprob in step.draft.logprobs]], np.float32).T
    if not told.size:
        return Score(0.0, failure="the draft carries no logprobs")
    features = features_at(told, np.array([len(told) - 1]), pooled=False, surprise=True)
    depth = np.array([lines_of("".join(step.text for step in path))])
    return Score(float(head.probability(features, depth)[0]))
