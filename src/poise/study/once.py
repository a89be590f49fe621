"""A scorer that reads each draft once, however many arms choose from it. A wrapper with the seam's type."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from poise.core import Ability, Message, Path, Request, Score
from poise.seams import Scorer

QUESTIONS = 256
"""How many questions are remembered: the arms of one come side by side, so few are enough."""

_Key: TypeAlias = tuple[str, str, bool]


@dataclass(slots=True)
class _Asked:
    """What is known of one question."""

    scores: dict[_Key, Score] = field(default_factory=dict)
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)


class Once:
    """Scores whole drafts by `scorer`, and remembers. Each arm is billed as if it alone had been scored: the first path
    of a call pays for the prompt, as in the scorer's own bills, the others do not. For scorers whose score of a path
    depends on that path alone."""

    def __init__(self, scorer: Scorer) -> None:
        self._scorer = scorer
        self._asked: OrderedDict[tuple[Message, ...], _Asked] = OrderedDict()

    @property
    def name(self) -> str:
        """That of the scorer."""
        return self._scorer.name

    @property
    def needs(self) -> frozenset[Ability]:
        """Those of the scorer."""
        return self._scorer.needs

    @property
    def top_logprobs(self) -> int | None:
        """What the scorer reads."""
        return self._scorer.top_logprobs

    def ready(self) -> None:
        """Raises what the scorer's own `ready` does, if it has one."""
        if ready := getattr(self._scorer, "ready", None):
            ready()

    async def score(self, request: Request, paths: Sequence[Path]) -> list[Score]:
        asked = self._of(request.messages)
        keys = [_key(path, first=not place) for place, path in enumerate(paths)]
        async with asked.turn:
            new = {key: path for key, path in zip(keys, paths, strict=True) if key not in asked.scores}
            if new:
                # the first path comes along, known or not, and pays for the prompt
                ordered = {keys[0]: paths[0], **new}
                found = await self._scorer.score(request, list(ordered.values()))
                scores = zip(ordered, found, strict=True)
                asked.scores |= {key: score for key, score in scores if key in new and score.failure is None}
                failed = {key: score for key, score in zip(ordered, found, strict=True) if score.failure is not None}
                return [asked.scores.get(key) or failed[key] for key in keys]
            return [asked.scores[key] for key in keys]

    def _of(self, question: tuple[Message, ...]) -> _Asked:
        asked = self._asked.setdefault(question, _Asked())
        self._asked.move_to_end(question)
        if len(self._asked) > QUESTIONS:
            self._asked.popitem(last=False)
        return asked


class Remembering(Mapping[str, Scorer]):
    """Scorers, those with weights of their own (they have `ready`) wrapped when they are first asked for."""

    def __init__(self, scorers: Mapping[str, Scorer]) -> None:
        self._scorers, self._made = scorers, dict[str, Scorer]()

    def __getitem__(self, name: str) -> Scorer:
        if name not in self._made:
            scorer = self._scorers[name]
            self._made[name] = Once(scorer) if hasattr(scorer, "ready") else scorer
        return self._made[name]

    def __contains__(self, name: object) -> bool:
        return name in self._scorers

    def __iter__(self) -> Iterator[str]:
        return iter(self._scorers)

    def __len__(self) -> int:
        return len(self._scorers)


def _key(path: Path, *, first: bool) -> _Key:
    return "".join(step.text for step in path), path[-1].draft.finish.value, first
