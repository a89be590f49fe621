"""Decoding many sequences at once with a llama-family model: a cache of fixed size with one row per sequence, prompts
read once and shared, prefixes that any row still holds reused.

Rows 0 to `active - 1` are the living ones, so that every product runs over a dense block; a row that ends is replaced
by the last. A row's keys outlive it until it is taken again: a prompt that starts with the same tokens copies them. Of
the rows that are free, the one that was not used for longest is taken, so that the paths of a search stay.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from poise.models.llama import Llama, after_attention, angles, norm, packed_twin, projected
from poise.models.packed import product

_BLOCK = 16  # keys are attended in whole blocks, so that shapes repeat
_WORTH = 8  # fewer shared tokens than this are not worth a copy


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
        self.states: Tensor | None = None  # of the last step, [active, width]
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
        """One more token for every living row, [active]. Returns logits [active, vocabulary]."""
        self.states = self._step(tokens)
        return product(self.states, self.model.head)

    def _step(self, tokens: Tensor) -> Tensor:
        """The states [active, width] of one more token for every living row."""
        lengths = torch.tensor([len(held) for held in self.held[: self.active]])
        states = self._place(functional.embedding(tokens, self.model.embeddings), None, lengths)
        for held, token in zip(self.held[: self.active], tokens.tolist(), strict=True):
            held.append(token)
        return states

    def _place(self, x: Tensor, which: Tensor | None, places: Tensor) -> Tensor:
        """The states, after the final norm, of one embedding [n, width] for each of some rows (None: the living ones),
        put at `places` [n] of the cache; what a row holds up to there is seen."""
        shape, count = self.model.shape, len(places)
        reach = min(self.context, (int(places.max()) // _BLOCK + 1) * _BLOCK)
        groups = shape.heads // shape.key_heads
        mask = causal_mask(places, reach, x.dtype)[:, None, None].expand(-1, 1, groups, -1)
        cosines, sines = angles(places.to(x.device), shape, x.dtype)
        rows = torch.arange(count, device=x.device) if which is None else which.to(x.device)
        mask, places, seen = mask.to(x.device), places.to(x.device), slice(count) if which is None else rows
        for layer, keys, values in zip(self.model.layers, self.keys, self.values, strict=True):
            h = norm(x, layer.input_norm, shape.epsilon)
            query, key, value = projected(h, layer, shape, cosines, sines)
            keys[rows, :, places], values[rows, :, places] = key, value
            query = query.reshape(count, shape.key_heads, -1, shape.head_width)
            # The queries that share a key head stand as so many places of one sequence: keys are read once, not copied.
            mixed = functional.scaled_dot_product_attention(query, keys[seen, :, :reach], values[seen, :, :reach], mask)
            x = after_attention(x, mixed.reshape(count, -1), layer, shape)
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
        shape, device = self.model.shape, self.model.embeddings.device
        n, length = len(rests), max(map(len, rests))
        ids = torch.zeros(n, length, dtype=torch.long)
        for number, rest in enumerate(rests):
            ids[number, : len(rest)] = torch.tensor(rest)
        places = torch.tensor(starts)[:, None] + torch.arange(length)
        reach = min(self.context, int(places.max()) + 1)
        places = places.clamp_(max=self.context - 1).to(device)
        where = torch.tensor(rows, device=device)
        x = functional.embedding(ids.to(device), self.model.embeddings).flatten(0, 1)
        cosines, sines = angles(places.flatten(), shape, x.dtype)
        mask = causal_mask(places.flatten(), reach, x.dtype).view(n, 1, length, reach)
        for layer, keys, values in zip(self.model.layers, self.keys, self.values, strict=True):
            h = norm(x, layer.input_norm, shape.epsilon)
            query, key, value = projected(h, layer, shape, cosines, sines)
            keys[where[:, None], :, places] = key.view(n, length, shape.key_heads, -1)
            values[where[:, None], :, places] = value.view(n, length, shape.key_heads, -1)
            query = query.view(n, length, shape.heads, -1).transpose(1, 2)
            seen, told = keys[where, :, :reach], values[where, :, :reach]
            mixed = functional.scaled_dot_product_attention(query, seen, told, mask, enable_gqa=True)
            x = after_attention(x, mixed.transpose(1, 2).reshape(n * length, -1), layer, shape)
        ends = torch.tensor([number * length + len(rest) - 1 for number, rest in enumerate(rests)], device=device)
        return norm(x[ends], self.model.norm, shape.epsilon)

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
    """What is added to the scores of queries at `places` [n]: [n, reach], 0 up to their own place, -inf after it."""
    later = torch.arange(reach, device=places.device) > places[:, None]
    return torch.zeros(later.shape, dtype=dtype, device=places.device).masked_fill_(later, float("-inf"))


def _common(first: Sequence[int], second: Sequence[int]) -> int:
    """Length of the common prefix."""
    for place, (a, b) in enumerate(zip(first, second, strict=False)):
        if a != b:
            return place
    return min(len(first), len(second))
