"""Texts that are read once and then gone on with in many ways: how likely each way is. Needs PyTorch."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

from poise.tune.padded import padded

_AT_ONCE = 512  # tokens of branches in one pass: their logits over the whole vocabulary are held


class Branches(Protocol):
    """Texts that have been read. `next`: log-probabilities [texts, vocabulary] of the token after each; `computed`:
    tokens that were run through the model so far, padding left out."""

    next: Tensor
    computed: int

    def told(self, ways: Sequence[Sequence[int]]) -> Tensor:
        """The log-probability [texts, ways] of all tokens of each way of going on, behind each text."""
        ...


def branches(model: Any, texts: Sequence[Sequence[int]]) -> Branches:
    """Read texts of one token or more. What was read is kept where the model's attention is full and is told its places
    (`Kept`); any other model reads it again for every way (`Again`)."""
    return Kept(model, texts) if keeps(model) else Again(model, texts)


def keeps(model: Any) -> bool:
    """Whether several ways of going on can stand side by side behind one text, none seeing another: the model must take
    a mask and places as they are given, and have no layer that forgets or that adds up what it has read."""
    config = model.config.get_text_config()
    named = inspect.signature(model.forward).parameters
    layers = set(getattr(config, "layer_types", None) or ["full_attention"])
    return (
        {"position_ids", "past_key_values", "logits_to_keep"} <= named.keys()
        and layers == {"full_attention"}
        and not getattr(config, "sliding_window", None)
        and not getattr(config, "alibi", False)
        and getattr(config, "_attn_implementation", None) in ("sdpa", "eager")
    )


class Kept:
    """Keys and values of the texts are computed once. The ways stand behind them in one row, each at the places that
    follow the text, and see the text and themselves. Logits are taken only where they are read."""

    @torch.no_grad()
    def __init__(self, model: Any, texts: Sequence[Sequence[int]]) -> None:
        self._model, self._device = model, model.get_input_embeddings().weight.device
        self._cache: Any = None
        self._lengths = torch.tensor([len(text) for text in texts], device=self._device)
        ids, there = padded([text[:-1] or [0] for text in texts], self._device)
        there = there.bool() & (torch.arange(ids.shape[1], device=self._device) < self._lengths[:, None] - 1)
        width = ids.shape[1]
        causal = torch.ones(width, width, dtype=torch.bool, device=self._device).tril()
        alone = torch.eye(width, dtype=torch.bool, device=self._device)  # padding sees itself: no row of nothing
        self._run(ids, torch.arange(width, device=self._device).expand(len(texts), -1), causal & there[:, None] | alone)
        last = torch.tensor([[text[-1]] for text in texts], device=self._device)
        self._there = torch.cat((there, torch.ones_like(last, dtype=torch.bool)), 1)
        logits = self._run(last, self._lengths[:, None] - 1, self._there[:, None])
        self.next = torch.log_softmax(_exact(logits[:, -1]), -1)
        self.computed = sum(map(len, texts))

    @torch.no_grad()
    def told(self, ways: Sequence[Sequence[int]]) -> Tensor:
        found = self.next[:, torch.tensor([way[0] for way in ways], dtype=torch.long, device=self._device)]
        longer = [number for number, way in enumerate(ways) if len(way) > 1]
        for some in _packs(ways, longer, _AT_ONCE // len(found)):
            found[:, some] += self._behind([ways[number] for number in some])
        return found

    def _behind(self, ways: Sequence[Sequence[int]]) -> Tensor:
        """The same without their first tokens. The last token of a way is judged and need not be read."""
        read = [way[:-1] for way in ways]
        owner = torch.tensor([number for number, way in enumerate(read) for _ in way], device=self._device)
        offsets = torch.tensor([place for way in read for place in range(len(way))], device=self._device)
        own = (owner[:, None] == owner) & (offsets[:, None] >= offsets)
        texts = len(self._lengths)
        seen = torch.cat((self._there[:, None].expand(-1, len(owner), -1), own.expand(texts, -1, -1)), 2)
        ids = torch.tensor([token for way in read for token in way], device=self._device).expand(texts, -1)
        logits = self._run(ids, self._lengths[:, None] + offsets, seen, keep=len(owner))
        gone = torch.zeros(texts, len(owner), dtype=torch.bool, device=self._device)
        self._there = torch.cat((self._there, gone), 1)  # stays in the cache; nobody looks there again
        self.computed += texts * len(owner)
        wanted = torch.tensor([token for way in ways for token in way[1:]], device=self._device)
        each = torch.stack([_likely(row, wanted) for row in logits])
        return each.new_zeros(texts, len(ways)).index_add_(1, owner, each)

    def _run(self, ids: Tensor, places: Tensor, seen: Tensor, keep: int = 1) -> Tensor:
        kind = self._model.get_input_embeddings().weight.dtype
        mask = torch.zeros(seen.shape, dtype=kind, device=self._device).masked_fill_(~seen, torch.finfo(kind).min)
        out = self._model(
            input_ids=ids,
            attention_mask=mask[:, None],
            position_ids=places,
            past_key_values=self._cache,
            use_cache=True,
            logits_to_keep=keep,
        )
        self._cache = out.past_key_values
        logits: Tensor = out.logits
        return logits


class Again:
    """The same for any causal model: every text is read again with every way, some at a time."""

    def __init__(self, model: Any, texts: Sequence[Sequence[int]]) -> None:
        self._model, self._texts, self.computed = model, texts, 0
        self._keep = "logits_to_keep" in inspect.signature(model.forward).parameters
        lengths = torch.tensor([len(text) for text in texts])
        logits, skipped = self._logits(texts, 0)
        self.next = torch.log_softmax(_exact(logits[torch.arange(len(texts)), lengths - 1 - skipped]), -1)

    def told(self, ways: Sequence[Sequence[int]]) -> Tensor:
        found = self.next[:, torch.tensor([way[0] for way in ways], dtype=torch.long, device=self.next.device)]
        longer = [number for number, way in enumerate(ways) if len(way) > 1]
        for number in longer:
            found[:, number] += self._behind(ways[number])
        return found

    def _behind(self, way: Sequence[int]) -> Tensor:
        logits, skipped = self._logits([[*text, *way[:-1]] for text in self._texts], len(way) - 1)
        wanted = torch.tensor(way[1:], device=logits.device)
        starts = [len(text) - skipped for text in self._texts]
        each = [_likely(logits[row, start : start + len(wanted)], wanted) for row, start in enumerate(starts)]
        return torch.stack(each).sum(1)

    @torch.no_grad()
    def _logits(self, texts: Sequence[Sequence[int]], judged: int) -> tuple[Tensor, int]:
        """Logits [texts, places, vocabulary] of the last places, and how many places in front are left out; of each
        text the `judged` last tokens and the one before them are there."""
        ids, there = padded(texts, self._model.get_input_embeddings().weight.device)
        skipped = min(map(len, texts)) - judged - 1
        known = {"logits_to_keep": ids.shape[1] - skipped} if self._keep else {}
        logits: Tensor = self._model(input_ids=ids, attention_mask=there, use_cache=False, **known).logits
        self.computed += sum(map(len, texts))
        return logits if self._keep else logits[:, skipped:], skipped


def _exact(logits: Tensor) -> Tensor:
    return logits if logits.dtype is torch.float64 else logits.float()


def _likely(logits: Tensor, wanted: Tensor) -> Tensor:
    """The log-probability [places] of a token at each of some places [places, vocabulary]."""
    exact = _exact(logits)
    return exact.gather(1, wanted[:, None])[:, 0] - exact.logsumexp(-1)


def _packs(ways: Sequence[Sequence[int]], some: Sequence[int], room: int) -> list[list[int]]:
    """Some of the ways in packs whose tokens to be read fit into `room`; one that does not fit has a pack to itself."""
    packs: list[list[int]] = []
    used = 0
    for number in some:
        need = len(ways[number]) - 1
        if not packs or used + need > room:
            packs.append([])
            used = 0
        packs[-1].append(number)
        used += need
    return packs
