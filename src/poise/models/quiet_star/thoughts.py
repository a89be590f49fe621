"""Thoughts at many positions of a text at once (section 4.2 of the paper).

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
    """`base` [batch, length, width]: states without thoughts. Of the places that think: `mixed` [batch, places, talk,
    width], at [b, p, i] the state that predicts the token 1 + i behind place p after the thought there; `weights`
    [batch, places, talk] its mixing weights; `alone`, shaped as `mixed`: the states after the thought, not mixed;
    `tokens` [batch, places, n] of the thoughts; `sources` [batch, places, n, width]: what each was sampled from.
    Without `at`, every place of the text thinks."""

    base: Tensor
    mixed: Tensor
    weights: Tensor
    alone: Tensor
    tokens: Tensor
    sources: Tensor


def new_cache(model: QuietStar) -> Any:
    """An empty cache of keys and values."""
    from transformers import DynamicCache

    return DynamicCache()  # not by the configuration: a sliding window would count thoughts as places of the text


def parallel(
    model: QuietStar, ids: Tensor, numbers: Tensor, *, filler: int | None = None, at: Tensor | None = None
) -> Thoughts:
    """Think at the places `at` [batch, places] of texts `ids` [batch, length] (None: at every one). `numbers` [batch,
    places, n]: uniform in [0, 1), by which thought tokens are sampled at temperature 1; with `filler` every thought
    token is that one (the pause-token control). The talk reads the true next tokens of the text; where the text has
    ended it reads its last token again, and what it says there means nothing.

    Cost: one pass over the texts, and one for each column over the places that think. Raises ConfigError for texts that
    leave no room for thoughts."""
    _check(model, ids.shape[1])
    thinking = _Thinking.of(model, ids, at)
    columns, marks = _Columns(model, ids, thinking), _marks(model, thinking.at)
    states, tokens = [columns.add(marks[0])], list[Tensor]()
    for place in range(model.config.thought_tokens):
        chosen = (
            torch.full_like(thinking.at, filler)
            if filler is not None
            else _sampled(model, states[-1], numbers[..., place])
        )
        tokens.append(chosen)
        states.append(columns.add(model.embedded(chosen)))
    states.append(columns.add(marks[1]))
    talk = range(1, model.config.n_ahead_talk)
    states += [columns.add(model.embedded(thinking.behind(ids, ahead))) for ahead in talk]
    told = torch.stack(tokens, -1) if tokens else ids.new_zeros(*thinking.at.shape, 0)
    return _gathered(model, columns.base, states, told, thinking)


def retold(
    model: QuietStar, ids: Tensor, tokens: Tensor, forward: LayerForward | None = None, at: Tensor | None = None
) -> Thoughts:
    """What `parallel` says of thoughts that are known, `tokens` [batch, places, n], in one pass over text and columns
    side by side: the pass to learn from, since its shape is always the same. `forward`: for a llama, the layer to run
    (compiled, say) in the place of the model's own. Cost: one pass over length + columns x places."""
    length, count = ids.shape[1], model.config.columns
    _check(model, length)
    thinking = _Thinking.of(model, ids, at)
    start, end = _marks(model, thinking.at)
    thoughts = [model.embedded(tokens[..., place]) for place in range(tokens.shape[-1])]
    talk = [model.embedded(thinking.behind(ids, ahead)) for ahead in range(1, model.config.n_ahead_talk)]
    whole = torch.cat([model.embedded(ids), start, *thoughts, end, *talk], 1)
    text = torch.arange(length, device=ids.device).expand(len(ids), -1)
    positions = torch.cat([text, *(thinking.at + column for column in range(1, count + 1))], 1)
    said = model.whole(whole, thinking.whole_mask(count), positions, forward)
    base, *states = torch.split(said, [length, *[thinking.at.shape[1]] * count], 1)
    return _gathered(model, base, states, tokens, thinking)


@dataclass(frozen=True, slots=True)
class _Thinking:
    """Where texts think: `at` [batch, places]; what a place sees, added to the scores: `seen` [1 or batch, places,
    length] of the text, `own` [places, places] of a column; `text` [length, length] is what the text itself sees."""

    at: Tensor
    text: Tensor
    seen: Tensor
    own: Tensor

    @classmethod
    def of(cls, model: QuietStar, ids: Tensor, at: Tensor | None) -> _Thinking:
        kind = model.model.get_input_embeddings().weight.dtype
        every = torch.arange(ids.shape[1], device=ids.device)
        text = causal_mask(every, ids.shape[1], kind)
        places = every.expand(len(ids), -1) if at is None else at
        seen = text[None] if at is None else text[at]
        own = text.new_full((places.shape[1], places.shape[1]), float("-inf")).fill_diagonal_(0.0)
        return cls(places, text, seen, own)

    def behind(self, values: Tensor, ahead: int) -> Tensor:
        """Of each place, what stands `ahead` tokens behind it in [batch, length, ...]; the last where the text ends."""
        where = (self.at + ahead).clamp(max=values.shape[1] - 1)
        return values[torch.arange(len(values), device=values.device)[:, None], where]

    def whole_mask(self, columns: int) -> Tensor:
        """The mask of text and columns side by side, [1 or batch, 1, all, all]."""
        rows, (places, length) = len(self.seen), self.seen.shape[1:]
        barred = self.own.new_full((), float("-inf"))
        parts = [torch.cat((self.text, barred.expand(length, columns * places)), 1).expand(rows, -1, -1)]
        for column in range(1, columns + 1):
            own = [*[self.own] * column, barred.expand(places, (columns - column) * places)]
            parts.append(torch.cat((self.seen, torch.cat(own, 1).expand(rows, -1, -1)), 2))
        return torch.cat(parts, 1)[:, None]


class _Columns:
    """The text, and columns of thoughts behind it."""

    def __init__(self, model: QuietStar, ids: Tensor, thinking: _Thinking) -> None:
        self.model, self.thinking, self.cache = model, thinking, new_cache(model)
        self.count, self.mask = 0, thinking.seen
        where = torch.arange(ids.shape[1], device=ids.device).expand(len(ids), -1)
        self.base = model.states(model.embedded(ids), thinking.text[None, None], where, self.cache)

    def add(self, embeddings: Tensor) -> Tensor:
        """States [batch, places, width] of one more column."""
        own = self.thinking.own.expand(len(self.mask), -1, -1)
        self.mask, self.count = torch.cat((self.mask, own), -1), self.count + 1
        return self.model.states(embeddings, self.mask[:, None], self.thinking.at + self.count, self.cache)


def _marks(model: QuietStar, at: Tensor) -> tuple[Tensor, Tensor]:
    """Start and end for every place, [batch, places, width]."""
    start, end = model.marks()
    return start.expand(*at.shape, -1), end.expand(*at.shape, -1)


def _gathered(
    model: QuietStar, base: Tensor, states: Sequence[Tensor], tokens: Tensor, thinking: _Thinking
) -> Thoughts:
    """From the states of the text and of each column."""
    n, talk = tokens.shape[-1], range(model.config.n_ahead_talk)
    both = [model.mixed(thinking.behind(base, ahead), states[n + 1 + ahead]) for ahead in talk]
    mixed, weights = torch.stack([state for state, _ in both], -2), torch.stack([weight for _, weight in both], -1)
    alone = torch.stack(list(states[n + 1 :]), -2)
    sources = torch.stack(list(states[:n]), -2) if n else alone[:, :, :0]
    return Thoughts(base, mixed, weights, alone, tokens, sources)


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
