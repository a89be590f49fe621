"""Decoding many sequences at once with a llama-family model: a cache of fixed size with one row per sequence, prompts
read once and shared, prefixes that any row still holds reused.

Rows 0 to `active - 1` are the living ones, so that every product runs over a dense block; a row that ends is replaced
by the last. A row's keys outlive it until it is taken again: a prompt that starts with the same tokens copies them. Of
the rows that are free, the one that was not used for longest is taken, so that the paths of a search stay.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from torch import Tensor
from torch.nn import functional

from poise.models.llama import Llama, after_attention, angles, norm, packed_twin, projected
from poise.models.packed import product

_BLOCK = 16  # keys are attended in whole blocks, so that shapes repeat
_WORTH = 8  # fewer shared tokens than this are not worth a copy

Cache: TypeAlias = tuple[list[Tensor], list[Tensor]]
"""Keys and values, each [layers][rows, key_heads, places, head_width]."""


@dataclass(frozen=True, slots=True)
class Admitted:
    """What reading prompts gave: logits [prompts, vocabulary] after the last token of each, how many of its tokens were
    taken from another row, and the states [prompts, width] that the logits are of, where the decoder has them."""

    logits: Tensor
    shared: tuple[int, ...]
    states: Tensor | None = None


class Rows:
    """The key-value cache: [layers][rows, key_heads, context, head_width] twice, and the tokens that each row holds.

    Memory: 4 * layers * key_heads * head_width bytes a token at 16 bits (46 KB for the default model)."""

    def __init__(self, model: Llama, rows: int, context: int) -> None:
        self.model, self.size, self.context, self.active = packed_twin(model), rows, context, 0
        size = (rows, model.shape.key_heads, context, model.shape.head_width)
        like = model.embeddings
        self.keys = [torch.zeros(size, dtype=like.dtype, device=like.device) for _ in model.layers]
        self.values = [torch.zeros_like(keys) for keys in self.keys]
        self.held: list[list[int]] = [[] for _ in range(rows)]
        self.states: Tensor | None = None  # of the last step, [n, width]
        self.limit = context  # tokens that a text may have
        self._used, self._clock = [0] * rows, 0  # when each row was last lived in or copied from

    @torch.inference_mode()
    def admit(self, prompts: Sequence[tuple[Sequence[int], int]]) -> Admitted:
        """Read prompts, each into the next rows of its own (its tokens, and how many copies of it will live). Cost: one
        forward pass over what no row held yet, padded to the longest."""
        total = sum(copies for _, copies in prompts)
        if self.active + total > self.size or max(len(tokens) for tokens, _ in prompts) > self.context:
            raise ValueError("no room")  # the caller counts rows and lengths
        rows, shared, row = list[int](), list[int](), self.active
        for tokens, copies in prompts:
            rows.append(row)
            shared.append(self._share(tokens, row))
            self.held[row] = list(tokens[: shared[-1]])
            for copy in range(row + 1, row + copies):
                self._free(copy)
                self.held[copy] = []
            row += copies
        hidden = self._read([tokens[start:] for (tokens, _), start in zip(prompts, shared, strict=True)], rows, shared)
        for (tokens, copies), row in zip(prompts, rows, strict=True):
            for copy in range(row, row + copies):
                if copy > row:
                    self._copy(row, copy, len(tokens))
                self.held[copy] = list(tokens)
        self.active += total
        return Admitted(product(hidden, self.model.head), tuple(shared), hidden)

    @torch.inference_mode()
    def step(self, tokens: Tensor) -> Tensor:
        """One more token for each of the first n living rows, [n]. Returns logits [n, vocabulary]."""
        self.states = self._step(tokens)
        return product(self.states, self.model.head)

    def _step(self, tokens: Tensor, which: Tensor | None = None) -> Tensor:
        """The states [n, width] of one more token for each of some rows (None: the first ones)."""
        rows = range(len(tokens)) if which is None else which.tolist()
        places = torch.tensor([[len(self.held[row])] for row in rows])
        mask = causal_mask(places, self._reach(places), self.model.embeddings.dtype)
        states = self._pass(functional.embedding(tokens, self.model.embeddings), which, places, places, mask)
        for row, token in zip(rows, tokens.tolist(), strict=True):
            self.held[row].append(token)
        return states

    def _reach(self, slots: Tensor) -> int:
        """How many slots of the cache are looked at by whoever stands at some, in whole blocks."""
        return min(self.context, (int(slots.max()) // _BLOCK + 1) * _BLOCK)

    def _pass(
        self,
        x: Tensor,
        which: Tensor | None,
        slots: Tensor,
        positions: Tensor,
        mask: Tensor,
        cache: Cache | None = None,
    ) -> Tensor:
        """The states [n * m, width], after the final norm, of m embeddings for each of n rows (None: the first n), x
        [n * m, width], kept in `slots` [n, m] of the cache (None: its own), turned to `positions` [n, m] of the text;
        mask [n, m, reach] is added to the scores over the first slots."""
        shape, (count, each), reach = self.model.shape, slots.shape, mask.shape[-1]
        groups = shape.heads // shape.key_heads
        cosines, sines = angles(positions.flatten().to(x.device), shape, x.dtype)
        mask = mask.to(x.device)[:, None, None].expand(-1, 1, groups, -1, -1).flatten(2, 3)
        rows = torch.arange(count, device=x.device) if which is None else which.to(x.device)
        where, slots, seen = rows[:, None], slots.to(x.device), slice(count) if which is None else rows
        for layer, keys, values in zip(self.model.layers, *(cache or (self.keys, self.values)), strict=True):
            h = norm(x, layer.input_norm, shape.epsilon)
            query, key, value = projected(h, layer, shape, cosines, sines)
            keys[where, :, slots] = key.view(count, each, shape.key_heads, -1)
            values[where, :, slots] = value.view(count, each, shape.key_heads, -1)
            # The queries that share a key head stand as so many places of one sequence: keys are read once, not copied.
            query = query.view(count, each, shape.key_heads, groups, -1).permute(0, 2, 3, 1, 4).flatten(2, 3)
            mixed = functional.scaled_dot_product_attention(query, keys[seen, :, :reach], values[seen, :, :reach], mask)
            mixed = mixed.view(count, shape.key_heads, groups, each, -1).permute(0, 3, 1, 2, 4)
            x = after_attention(x, mixed.reshape(count * each, -1), layer, shape)
        return norm(x, self.model.norm, shape.epsilon)

    def retire(self, row: int, riders: list[Any]) -> None:
        """End a living row; the last living row takes its place, in the cache and in `riders` (one a living row)."""
        last = self.active = self.active - 1
        rider = riders.pop()
        if row != last:
            riders[row] = rider
            self._swap(row, last)
        self._touch(last)

    def _read(self, rests: Sequence[Sequence[int]], rows: Sequence[int], starts: Sequence[int]) -> Tensor:
        """Forward pass over new tokens of some rows that hold their first `starts` tokens; the hidden states after the
        last token of each. What padding writes lies behind a row's tokens, and is overwritten before it is seen."""
        n, length = len(rests), max(map(len, rests))
        ids = torch.zeros(n, length, dtype=torch.long)
        for number, rest in enumerate(rests):
            ids[number, : len(rest)] = torch.tensor(rest)
        places = torch.tensor(starts)[:, None] + torch.arange(length)
        reach = min(self.context, int(places.max()) + 1)
        places = places.clamp_(max=self.context - 1)
        x = functional.embedding(ids.to(self.model.embeddings.device), self.model.embeddings).flatten(0, 1)
        states = self._pass(x, torch.tensor(rows), places, places, causal_mask(places, reach, x.dtype))
        return states.view(n, length, -1)[torch.arange(n), torch.tensor([len(rest) - 1 for rest in rests])]

    def _share(self, tokens: Sequence[int], row: int) -> int:
        """Copy the longest prefix of `tokens` that some row holds into `row`; all but the last token at most."""
        best, source = max((_common(tokens, held), -number) for number, held in enumerate(self.held))
        best, source = min(best, len(tokens) - 1), -source
        if best < _WORTH:
            self._free(row)
            return 0
        self._touch(source)
        moved = self._free(row)
        source = moved if source == row else row if source == moved else source
        if source != row:
            self._copy(source, row, best)
        return best

    def _free(self, row: int) -> int:
        """Put into a row that is to be taken what was not used for longest, of that row and those behind it; where what
        it held is now."""
        oldest = min(range(row, self.size), key=lambda number: (self._used[number], number))
        if oldest != row:
            self._swap(row, oldest)
        return oldest

    def _touch(self, row: int) -> None:
        self._clock += 1
        self._used[row] = self._clock

    def _copy(self, source: int, target: int, length: int) -> None:
        for cache in (*self.keys, *self.values):
            cache[target, :, :length] = cache[source, :, :length]

    def _swap(self, first: int, second: int) -> None:
        length = max(len(self.held[first]), len(self.held[second]))
        for cache in (*self.keys, *self.values):
            kept = cache[first, :, :length].clone()
            cache[first, :, :length] = cache[second, :, :length]
            cache[second, :, :length] = kept
        self.held[first], self.held[second] = self.held[second], self.held[first]
        self._used[first], self._used[second] = self._used[second], self._used[first]


def causal_mask(places: Tensor, reach: int, dtype: torch.dtype) -> Tensor:
    """What is added to the scores of queries at `places` [...]: [..., reach], 0 up to their own place, -inf after."""
    later = torch.arange(reach, device=places.device) > places[..., None]
    return barred(later, dtype)


def barred(hidden: Tensor, dtype: torch.dtype) -> Tensor:
    """What is added to scores so that nothing of what is `hidden` (true) is seen: -inf there, 0 elsewhere."""
    return torch.zeros(hidden.shape, dtype=dtype, device=hidden.device).masked_fill_(hidden, float("-inf"))


def _common(first: Sequence[int], second: Sequence[int]) -> int:
    """Length of the common prefix."""
    for place, (a, b) in enumerate(zip(first, second, strict=False)):
        if a != b:
            return place
    return min(len(first), len(second))
