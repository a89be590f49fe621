"""Reading texts that are there already: hidden states of many continuations of one prompt, which is read once."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from poise.costs import Card
from poise.errors import ConfigError
from poise.models.dense import DenseModel, load_dense
from poise.models.llama import Llama, after_attention, angles, norm, packed_twin, projected, view_of
from poise.models.packed import product

_ROWS = 256  # logits of so many tokens are held at once


@dataclass(frozen=True)
class Reader:
    """A llama-family policy that reads: its tensors, tokenizer, and what it costs."""

    llama: Llama
    tokenizer: Any
    card: Card

    @functools.cached_property
    def newlines(self) -> frozenset[int]:
        """Tokens that end a line. Found once, by decoding every word of the vocabulary."""
        words = self.tokenizer.batch_decode([[id] for id in range(len(self.tokenizer))])
        return frozenset(id for id, word in enumerate(words) if word.endswith("\n"))


def load_reader(model: str | DenseModel = "default") -> Reader:
    """Load a policy to read with. Raises ConfigError for a model that is not llama-family, and as `load_dense` does."""
    loaded = load_dense(model) if isinstance(model, str) else model
    llama = view_of(loaded.model)
    if llama is None:
        raise ConfigError("model", loaded.name, "a llama-family model")
    return Reader(packed_twin(llama), loaded.tokenizer, loaded.card)


@dataclass(frozen=True, slots=True)
class Asked:
    """One prompt and the texts that continue it, as token ids."""

    prompt: Sequence[int]
    texts: Sequence[Sequence[int]]


@torch.inference_mode()
def read(model: Llama, asked: Sequence[Asked], layers: Sequence[int], surprise: bool = False) -> list[list[Tensor]]:
    """Hidden states of every token of each text, per prompt: [tokens, len(layers) * width], the residual stream after
    each of `layers` (1 = after the first) side by side, in the model's type. Layers above the last of these are not
    run, unless `surprise` asks for one more column (all float32 then): minus the logprob of each token. No layers, but
    surprise: that column alone.

    Cost: one forward pass over all prompts and one over all texts, each padded to the longest of its kind."""
    prompts = [each.prompt for each in asked]
    texts = [text for each in asked for text in each.texts]
    owner = torch.tensor([number for number, each in enumerate(asked) for _ in each.texts])
    device = model.embeddings.device
    heads = _Read(torch.zeros(len(prompts), 0, dtype=torch.long, device=device))
    wanted = (*layers, len(model.layers)) if surprise else tuple(layers)
    before = _pass(model, prompts, heads, wanted, keep=heads)
    states = _pass(model, texts, heads.of(owner.to(device)), wanted)
    kept = [state[: len(text)] for state, text in zip(states, texts, strict=True)]
    if surprise:
        lasts = [before[number, len(prompts[number]) - 1] for number in owner.tolist()]
        kept = _with_surprise(model, lasts, kept, texts)
    found = iter(kept)
    return [[next(found) for _ in each.texts] for each in asked]


def _with_surprise(
    model: Llama, lasts: Sequence[Tensor], states: Sequence[Tensor], texts: Sequence[Sequence[int]]
) -> list[Tensor]:
    """States of texts whose last part is that of the last layer: in its place, how unlikely each token was after the
    one before it. `lasts`: the same states of the prompts' last tokens."""
    width = model.embeddings.shape[1]
    ahead = [torch.cat((last[None, -width:], each[:-1, -width:])) for last, each in zip(lasts, states, strict=True)]
    told = torch.tensor([token for text in texts for token in text], dtype=torch.long, device=model.head.device)
    rows = norm(torch.cat(ahead), model.norm, model.shape.epsilon)
    parts = []
    for some, tokens in zip(rows.split(_ROWS), told.split(_ROWS), strict=True):  # type: ignore[no-untyped-call]
        logits = product(some, model.head).float()
        parts.append(logits.logsumexp(-1) - logits.gather(1, tokens[:, None])[:, 0])
    surprise = torch.cat(parts).split([len(text) for text in texts])  # type: ignore[no-untyped-call]
    return [
        torch.cat((each[:, :-width].float(), column[:, None]), 1) for each, column in zip(states, surprise, strict=True)
    ]


class _Read:
    """What was read before: which places hold a token [rows, length], and keys and values per layer."""

    def __init__(self, lengths: Tensor) -> None:
        self.there, self.keys, self.values = lengths.bool(), list[Tensor](), list[Tensor]()

    def of(self, rows: Tensor) -> _Read:
        """The same for these rows, repeated as they come."""
        found = _Read(self.there[rows])
        found.keys, found.values = [part[rows] for part in self.keys], [part[rows] for part in self.values]
        return found


def _pass(
    model: Llama, texts: Sequence[Sequence[int]], before: _Read, layers: Sequence[int], keep: _Read | None = None
) -> Tensor:
    """Forward pass over rows of ids behind what was read before; what `layers` ask for, [rows, length, ...]."""
    shape, device, rows = model.shape, model.embeddings.device, len(texts)
    length = max(len(text) for text in texts)
    ids, there = torch.zeros(rows, length, dtype=torch.long), torch.zeros(rows, length, dtype=torch.bool)
    for row, text in enumerate(texts):
        ids[row, : len(text)], there[row, : len(text)] = torch.tensor(text, dtype=torch.long), True
    ids, there = ids.to(device), there.to(device)
    places = before.there.sum(1, keepdim=True) + torch.arange(length, device=device)
    own = torch.ones(length, length, dtype=torch.bool, device=device).tril()[None] & there[:, None, :]
    own = own | torch.eye(length, dtype=torch.bool, device=device)  # padding sees itself: no row of -inf alone
    seen = torch.cat((before.there[:, None, :].expand(-1, length, -1), own), 2)
    x = functional.embedding(ids, model.embeddings)
    mask = torch.zeros(seen.shape, dtype=x.dtype, device=device).masked_fill_(~seen, float("-inf"))[:, None]
    cosines, sines = angles(places, shape, x.dtype)
    earlier = list(zip(before.keys, before.values, strict=True))
    found: dict[int, Tensor] = {}
    for number, layer in enumerate(model.layers[: max(layers)], 1):
        heads = projected(norm(x, layer.input_norm, shape.epsilon), layer, shape, cosines, sines)
        query, key, value = (part.transpose(1, 2) for part in heads)
        if keep is not None:
            keep.keys.append(key)
            keep.values.append(value)
        if earlier:
            key, value = (torch.cat(pair, 2) for pair in zip(earlier[number - 1], (key, value), strict=True))
        mixed = functional.scaled_dot_product_attention(query, key, value, mask, enable_gqa=True)
        x = after_attention(x, mixed.transpose(1, 2).flatten(2), layer, shape)
        if number in layers:
            found[number] = x
    if keep is not None:
        keep.there = there
    return torch.cat([found[number] for number in layers], -1)
