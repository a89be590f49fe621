"""Thoughts as a judge of drafts that were drawn without any."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from enum import Enum
from typing import TYPE_CHECKING, ClassVar

from poise.aside import aside
from poise.core import Ability, Path, Prompt, Request, Role, Score
from poise.models.extra import require_torch
from poise.scoring.verifier import text_of

if TYPE_CHECKING:
    from poise.models.turns import Text
    from poise.scoring.thoughtful import Thoughtful

_EMPTY = Score(0.0, failure="an empty draft")


class By(Enum):
    """What a draft is judged by: how likely its tokens are after a thought before each, or how much likelier than
    without."""

    LIKELIHOOD = "likelihood"
    GAIN = "gain"


class QuietStarScorer:
    """How well thoughts bear a path out: a Quiet-STaR model (arXiv 2403.09629) in `folder` (none: the one that ships)
    reads it, thinks before each of its tokens, side by side, and tells the geometric mean of their probabilities, or
    (`by` gain) the logistic of ten times the mean of log p with thoughts minus log p without: the reward by which the
    model learnt to think, told without any truth. `base`: the model beneath, where it is not found by its name. Any
    engine may have drawn the text.

    Cost: `n_ahead` passes over the path's tokens, and one over the prompt for all paths scored together; thoughts are
    billed as scorer tokens. Raises ConfigError without the torch extra or for a folder of something else, ModelError
    for files that cannot be read."""

    name: ClassVar[str] = "quiet_star"
    needs: ClassVar[frozenset[Ability]] = frozenset()
    top_logprobs: ClassVar[int | None] = None
    apart: ClassVar[bool] = True

    def __init__(self, folder: str = "", base: str = "", by: By = By.LIKELIHOOD) -> None:
        self._folder, self._base, self._by = folder, base, by
        self._working = threading.Lock()
        self._model: Thoughtful | None = None

    def ready(self) -> None:
        """Raises ConfigError without the torch extra, and for a folder that holds no thoughts."""
        require_torch(f"scorer {self.name}")
        from poise.models.quiet_star.files import check_quiet_star, folder_of

        check_quiet_star(folder_of(self._folder))

    async def score(self, request: Request, paths: Sequence[Path]) -> list[Score]:
        told = [path for path in paths if any(step.text for step in path)]
        if not told:
            return [_EMPTY] * len(paths)
        prompt = tuple(message for message in request.messages if message.role is not Role.ASSISTANT)
        found = iter(await aside(self._read, prompt, [text_of(path) for path in told]))
        return [next(found) if any(step.text for step in path) else _EMPTY for path in paths]

    def _read(self, prompt: Prompt, told: Sequence[Text]) -> list[Score]:
        with self._working:
            if self._model is None:
                self.ready()
                from poise.models.quiet_star.files import folder_of
                from poise.scoring.thoughtful import Thoughtful

                self._model = Thoughtful(folder_of(self._folder), self._base)
            return self._model.scores(prompt, told, gain=self._by is By.GAIN)
