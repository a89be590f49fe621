"""Agreement between drafts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from poise import answers
from poise.core import Ability, Path, Request, Score


@dataclass(frozen=True, slots=True)
class Agreement:
    """Share of a path's answer class among the paths scored with it; 0 where no value was read. Cost: none."""

    name: ClassVar[str] = "agreement"
    needs: ClassVar[frozenset[Ability]] = frozenset()
    top_logprobs: ClassVar[int | None] = None

    async def score(self, request: Request, paths: Sequence[Path]) -> list[Score]:
        classes = answers.classes([path[-1].value for path in paths], request.kind)
        voting = sum(label >= 0 for label in classes)
        return [
            Score(classes.count(label) / voting) if label >= 0 else Score(0.0, failure="no value to compare")
            for label in classes
        ]
