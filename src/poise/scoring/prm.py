"""Process reward models that others have trained: any causal model that marks steps with a token for right or wrong."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from enum import Enum
from typing import TYPE_CHECKING, ClassVar

from poise.aside import aside
from poise.core import Ability, Path, Request, Role, Score
from poise.models.extra import require_torch

if TYPE_CHECKING:
    from poise.scoring.marking import Marking

_EMPTY = Score(0.0, failure="an empty draft")
MATH_SHEPHERD = "peiyi9979/math-shepherd-mistral-7b-prm"


class Over(Enum):
    """How the marks of a path's steps become one score: that of the last, the least, or their product."""

    LAST = "last"
    LEAST = "least"
    PRODUCT = "product"


class ProcessRewardModel:
    """P(each step is right), as a process reward model marks it: a causal model reads the question and the steps, each
    line ended by `mark`, and tells after every mark how likely `right` is against `wrong` (Math-Shepherd, Wang et al.
    2023, arXiv 2312.08935, whose model is the default). `model`: a hub repository, a folder or a GGUF file. Any engine
    may have drawn the text.

    Cost: one forward pass over question and path, billed as scorer tokens; the question is read once for all paths
    scored together. Raises ConfigError without the torch extra, or where a mark is no single token at the end of a
    line, ModelError for weights that cannot be had."""

    name: ClassVar[str] = "prm"
    needs: ClassVar[frozenset[Ability]] = frozenset()
    top_logprobs: ClassVar[int | None] = None
    apart: ClassVar[bool] = True

    def __init__(
        self, model: str = MATH_SHEPHERD, mark: str = "ки", right: str = "+", wrong: str = "-", over: Over = Over.LAST
    ) -> None:
        self._model, self._marks, self._over = model, (mark, right, wrong), over
        self._working = threading.Lock()
        self._loaded: Marking | None = None

    def ready(self) -> None:
        """Raises ConfigError without the torch extra, and for a model that nobody can know by its name."""
        require_torch(f"scorer {self.name}")
        from poise.models.find import check_name

        check_name(self._model)

    async def score(self, request: Request, paths: Sequence[Path]) -> list[Score]:
        texts = ["".join(step.text for step in path) for path in paths]
        told = [text for text in texts if text.strip()]
        if not told:
            return [_EMPTY] * len(paths)
        question = "\n".join(message.text for message in request.messages if message.role is Role.USER)
        found = iter(await aside(self._read, question, told))
        return [next(found) if text.strip() else _EMPTY for text in texts]

    def _read(self, question: str, texts: Sequence[str]) -> list[Score]:
        with self._working:
            if self._loaded is None:
                from poise.scoring.marking import Marking

                self._loaded = Marking(self._model, *self._marks)
            failure = f"more tokens with its question than the {self._loaded.window} that the model can read"
            return [
                Score(over(marks, self._over), usage) if marks else Score(0.0, failure=failure)
                for marks, usage in self._loaded.marks(question, texts)
            ]


def over(marks: Sequence[float], how: Over) -> float:
    """One score from those of the steps, each in [0, 1]."""
    if how is Over.LAST:
        return marks[-1]
    if how is Over.LEAST:
        return min(marks)
    product = 1.0
    for mark in marks:
        product *= mark
    return product
