"""An engine that replays a pool of recorded draws: the same questions and the same draws for every flat strategy.

Which draw answers a call? Runs derive the seed of a draw from their own seed and the place of the draw in the tree, a
benchmark derives the seed of a run from its own and the item, and a pool records its draws under the very same seeds.
So draw k of a question asks with the seed that draw k was recorded under, and a seed and a prompt name one recorded
draw: in every arm, however many questions run at once, and after any interruption. Nothing is counted or remembered.
A call of n samples carries the seed of its first draw and gets that one and the n - 1 after it, as far as they were
recorded, and then fails.

What was not recorded is refused, never made up: other prompts (so trees cannot be replayed), seeds, samplings, and
draws beyond the last.

Draws under way are told in step, a token each per turn of the event loop: the shortest ends first, and one that is
cancelled is billed for as many tokens as the others had by then. So tokens and FLOPs are those of the model; seconds
are not measured, and the name of the card says so.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncGenerator
from pathlib import Path

from poise.core import Ability, Delta, Draft, Finish, Prompt, Sampling
from poise.costs import Load
from poise.errors import DataError, EngineRefused
from poise.seams import Stream
from poise.store.pool_dir import PoolDir, PooledDraw, prompt_hash

REPLAYED = ", replayed"
"""Ends the name of the card, and so the models in a benchmark's settings."""


class Replay:
    """See the module. `folder`: of a pool, read at once and whole, at the cost that `PoolDir.draws` names. Raises
    DataError where it holds no draws.

    A draw that is granted fewer tokens than it has is cut: its tokens and logprobs exactly, its text at that share of
    its characters, because where each token's text ends was not recorded."""

    def __init__(self, folder: Path, *, name: str = "replay") -> None:
        pool = PoolDir(folder)
        self.name, self._settings = name, pool.settings
        self.card = dataclasses.replace(pool.card, name=pool.card.name + REPLAYED)
        self.can = frozenset({Ability.SEEDS, Ability.N_SAMPLES})
        if self._settings.sampling.top_logprobs is not None:
            self.can |= {Ability.LOGPROBS}
        self._items: dict[tuple[str, str], dict[int, PooledDraw]] = {}
        self._places: dict[tuple[str, int], PooledDraw] = {}
        for draw in pool.draws():
            self._items.setdefault((draw.prompt, draw.item), {})[draw.index] = draw
            self._places[draw.prompt, draw.seed] = draw
        if not self._places:
            raise DataError(str(folder), 0, "no draws", "a pool with at least one draw")

    def stream(self, prompt: Prompt, sampling: Sampling, n: int = 1) -> Stream:
        """Raises, from the iteration, EngineRefused for what was not recorded."""
        return Stream(self._deltas(prompt, sampling, n))

    def load(self) -> Load:
        """All slots are busy, as they were when the pool was recorded: nobody draws ahead of need. A call may ask for
        all draws of a question."""
        return Load(self._settings.draws, slots=self._settings.draws)

    async def aclose(self) -> None:
        """Nothing to free."""

    async def _deltas(self, prompt: Prompt, sampling: Sampling, n: int) -> AsyncGenerator[Delta, None]:
        first = self._first(prompt, sampling)
        recorded = self._items[first.prompt, first.item]
        draws = [(index, recorded[first.index + index]) for index in range(n) if first.index + index in recorded]
        lengths = [min(max(draw.draft.tokens, 1), sampling.max_tokens) for _, draw in draws]
        read = first.prompt_tokens, first.cached_tokens
        for turn in range(max(lengths)):
            await asyncio.sleep(0)
            for (index, draw), length in zip(draws, lengths, strict=True):
                if turn < length:
                    yield _told(draw.draft, (index, turn, length), sampling.top_logprobs, read)
                    read = None, None
        if len(draws) < n:
            wish = f"draws {first.index} to {first.index + n - 1} of {first.item}"
            raise EngineRefused(f"{self.name}: {wish} are asked for, and {len(recorded)} are recorded")

    def _first(self, prompt: Prompt, sampling: Sampling) -> PooledDraw:
        """The draw that this call asks for, the first of its n. Raises EngineRefused."""
        self._check(sampling)
        asked = prompt_hash(prompt)
        first = self._places.get((asked, sampling.seed)) if sampling.seed is not None else None
        if first is None:
            raise EngineRefused(self._missing(asked))
        return first

    def _missing(self, asked: str) -> str:
        settings = self._settings
        counts = [len(draws) for (prompt, _), draws in self._items.items() if prompt == asked]
        if not counts:
            return (
                f"{self.name}: this prompt is not in the pool, which holds whole drafts of prompt {settings.prompt!r}"
            )
        return (
            f"{self.name}: no such draw of this question: {max(counts)} are recorded, for seed {settings.seed} of a "
            "benchmark"
        )

    def _check(self, sampling: Sampling) -> None:
        """Refuse what was drawn in another way than is asked for."""
        drawn = self._settings.sampling
        for knob in ("temperature", "top_p", "stop", "thinking"):
            if getattr(sampling, knob) != getattr(drawn, knob):
                raise EngineRefused(
                    f"{self.name}: drawn with {knob} {getattr(drawn, knob)}, not {getattr(sampling, knob)}"
                )
        if sampling.max_tokens > drawn.max_tokens:
            raise EngineRefused(f"{self.name}: drawn with max_tokens {drawn.max_tokens}, not {sampling.max_tokens}")
        if sampling.top_logprobs is not None and (
            drawn.top_logprobs is None or drawn.top_logprobs < sampling.top_logprobs
        ):
            raise EngineRefused(
                f"{self.name}: drawn with top_logprobs {drawn.top_logprobs}, not {sampling.top_logprobs}"
            )


def _told(
    draft: Draft, place: tuple[int, int, int], top_logprobs: int | None, read: tuple[int | None, int | None]
) -> Delta:
    """One token: of sample `index`, the `turn`-th of the `length` that are told of it."""
    index, turn, length = place
    whole, size = max(draft.tokens, 1), len(draft.text)
    finish = draft.finish if length == whole else Finish.LENGTH
    here = slice(turn, turn + 1)
    return Delta(
        draft.text[size * turn // whole : size * (turn + 1) // whole],
        min(draft.tokens, 1),
        index,
        finish if turn + 1 == length else None,
        () if top_logprobs is None else draft.logprobs[here],
        tuple(top[:top_logprobs] for top in draft.alternatives[here]) if top_logprobs else (),
        draft.token_ids[here],
        *read,
    )
