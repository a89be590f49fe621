"""Thoughts at every position of a text at once (section 4.2 of the paper).

A pass adds one column: the next thought token of every position. What such a token sees is the text up to its position
and the columns before it at that same position, so the mask is causal over the text and diagonal over each column.
Thoughts are scratch: no text position ever sees one, and leaving one out changes nothing anywhere else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from poise.errors import ConfigError
from poise.models.decode import causal_mask
from poise.models.llama import LayerForward
from poise.models.quiet_star.model import QuietStar
from poise.models.sampling import inverse

_ROWS = 512


@dataclass(frozen=True, slots=True)
class Thoughts:
    """`base` [batch, length, width]: states without thoughts. `mixed` [batch, length, talk, width]: at [b, j, i] the
    state that predicts token j + 1 + i after the thought at j; `weights` [batch, length, talk] its mixing weights.
    `tokens` [batch, length, n] of the thoughts; `sources` [batch, length, n, width]: what each was sampled from."""

    base: Tensor
    mixed: Tensor
    weights: Tensor
    tokens: Tensor
    sources: Tensor


def new_cache(model: QuietStar) -> Any:
    """An empty cache of keys and values."""
    from transformers import DynamicCache

    return DynamicCache(config=model.model.config)


def parallel(model: QuietStar, ids: Tensor, numbers: Tensor, *, filler: int | None = None) -> Thoughts:
    """Think at every position of texts `ids` [batch, length]. `numbers` [batch, length, n]: uniform in [0, 1), by which
    thought tokens are sampled at temperature 1; with `filler` every thought token is that one (the pause-token
    control). The talk reads the true next tokens of the text; where the text has ended it reads its last token again,
    and what it says there means nothing.

    Cost: 1 + columns passes over the texts. Raises ConfigError for texts that leave no room for thoughts."""
    _check(model, ids.shape[1])
    columns, marks = _Columns(model, ids), _marks(model, ids)
    states, tokens = [columns.add(marks[0])], list[Tensor]()
    for place in range(model.config.thought_tokens):
        chosen = (
            torch.full_like(ids, filler) if filler is not None else _sampled(model, states[-1], numbers[..., place])
        )
        tokens.append(chosen)
        states.append(columns.add(model.embedded(chosen)))
    states.append(columns.add(marks[1]))
    talk = range(1, model.config.n_ahead_talk)
    states += [columns.add(model.embedded(_shifted(ids, ahead))) for ahead in talk]
    return _gathered(model, columns.base, states, torch.stack(tokens, -1) if tokens else ids.new_zeros(*ids.shape, 0))


def retold(model: QuietStar, ids: Tensor, tokens: Tensor, forward: LayerForward | None = None) -> Thoughts:
    """What `parallel` says of thoughts that are known, `tokens` [batch, length, n], in one pass over text and columns
    side by side: the pass to learn from, since its shape is always the same. `forward`: for a llama, the layer to run
    (compiled, say) in the place of the model's own. Cost: one pass over (1 + columns) x length places."""
    length, count = ids.shape[1], model.config.columns
    _check(model, length)
    start, end = _marks(model, ids)
    thoughts = [model.embedded(tokens[..., place]) for place in range(tokens.shape[-1])]
    talk = [model.embedded(_shifted(ids, ahead)) for ahead in range(1, model.config.n_ahead_talk)]
    whole = torch.cat([model.embedded(ids), start, *thoughts, end, *talk], 1)
    positions = torch.cat([torch.arange(length, device=ids.device) + column for column in range(count + 1)])
    mask = _whole_mask(length, count, whole)
    said = model.whole(whole, mask, positions.expand(len(ids), -1), forward)
    base, *states = (said[:, first : first + length] for first in range(0, said.shape[1], length))
    return _gathered(model, base, states, tokens)


class _Columns:
    """The text, and columns of thoughts behind it."""

    def __init__(self, model: QuietStar, ids: Tensor) -> None:
        self.model, self.cache = model, new_cache(model)
        x, self.positions = model.embedded(ids), torch.arange(ids.shape[1], device=ids.device)[None]
        self.mask, self.own = _blocks(ids.shape[1], x)
        self.base = self._states(x)

    def add(self, embeddings: Tensor) -> Tensor:
        """States [batch, length, width] of one more column."""
        self.mask, self.positions = torch.cat((self.mask, self.own), -1), self.positions + 1
        return self._states(embeddings)

    def _states(self, embeddings: Tensor) -> Tensor:
        where = self.positions.expand(len(embeddings), -1)
        return self.model.states(embeddings, self.mask[None, None], where, self.cache)


def _marks(model: QuietStar, ids: Tensor) -> tuple[Tensor, Tensor]:
    """Start and end for every position, [batch, length, width]."""
    start, end = model.marks()
    return start.expand(*ids.shape, -1), end.expand(*ids.shape, -1)


def _gathered(model: QuietStar, base: Tensor, states: Sequence[Tensor], tokens: Tensor) -> Thoughts:
    """From the states of the text and of each column."""
    n, talk = tokens.shape[-1], range(model.config.n_ahead_talk)
    both = [model.mixed(_shifted(base, ahead), states[n + 1 + ahead]) for ahead in talk]
    mixed, weights = torch.stack([state for state, _ in both], -2), torch.stack([weight for _, weight in both], -1)
    sources = torch.stack(list(states[:n]), -2) if n else base[:, :, None][:, :, :0]
    return Thoughts(base, mixed, weights, tokens, sources)


def _blocks(length: int, like: Tensor) -> tuple[Tensor, Tensor]:
    """What a position may see, [length, length] added to the scores: of the text, and of a column."""
    text = causal_mask(torch.arange(length, device=like.device), length, like.dtype)
    own = torch.full_like(text, float("-inf")).fill_diagonal_(0.0)
    return text, own


def _whole_mask(length: int, columns: int, like: Tensor) -> Tensor:
    """The mask of text and columns side by side, [1, 1, all, all]."""
    text, own = _blocks(length, like)
    barred = torch.full_like(own, float("-inf"))
    rows = [torch.cat([text, *[own] * column, *[barred] * (columns - column)], 1) for column in range(columns + 1)]
    return torch.cat(rows)[None, None]


def _check(model: QuietStar, length: int) -> None:
    room = model.window - model.config.columns
    if not 1 <= length <= room:
        raise ConfigError("tokens of a text", length, f"1 to {room}: the model's window, less room for thoughts")


@torch.no_grad()
def _sampled(model: QuietStar, states: Tensor, numbers: Tensor) -> Tensor:
    """One token per state and number, at temperature 1. A few hundred at a time: logits are wide."""
    flat, wanted = states.detach().flatten(0, -2), numbers.flatten().double()
    starts = range(0, len(flat), _ROWS)
    shares = (torch.softmax(model.logits(flat[start : start + _ROWS]).float(), -1) for start in starts)
    chosen = [inverse(each, wanted[start : start + _ROWS]) for start, each in zip(starts, shares, strict=True)]
    return torch.cat(chosen).view(numbers.shape)


def _shifted(values: Tensor, ahead: int) -> Tensor:
    """Of each position what stands `ahead` positions on; the last one where the text has ended."""
    if not ahead:
        return values
    return torch.cat((values[:, ahead:], values[:, -1:].expand(-1, min(ahead, values.shape[1]), *values.shape[2:])), 1)
