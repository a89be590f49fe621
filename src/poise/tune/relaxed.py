"""One token of a prompt, relaxed: the loss of an answer behind fixed reasoning, and its gradient over candidates for
that token (GReaTer, Das et al. 2024, arXiv 2412.09722, section 3). Needs PyTorch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from poise.errors import ConfigError
from poise.models.dense import body_of
from poise.tune.padded import padded
from poise.tune.rows import LossTerms, Row

_FEW = 8  # tokens that a model is looked at with
_NEAR = 0.01  # of the largest logit: what rounding may make of it
_SHAPING = ("final_logit_softcapping", "logit_scale", "logits_scaling", "lm_head_multiplier")


@dataclass(frozen=True, slots=True)
class Slopes:
    """Of each row the loss [n], and its gradient [n, candidates] over the weights of the candidates."""

    losses: Tensor
    gradient: Tensor


class Relaxed:
    """A frozen causal model of `transformers`, and the terms of the loss."""

    def __init__(self, model: Any, terms: LossTerms = LossTerms()) -> None:
        self._model, self._terms = model, terms
        self._embeddings: Tensor = model.get_input_embeddings().weight.detach()
        self._body = body_of(model)

    @torch.no_grad()
    def check(self) -> None:
        """Raise ConfigError for a model that does more than to read embeddings and to put a head on its last states:
        the loss here would not be its own. Cost: two passes over a few tokens."""
        ids, there = padded([range(_FEW)], self._embeddings.device)
        told = self._model(input_ids=ids, attention_mask=there, use_cache=False).logits
        own = self._logits(self._states(self._looked_up(ids), there))
        if (own - told).abs().max() > _NEAR * told.abs().max():
            config = self._model.config.get_text_config()
            field = next((name for name in _SHAPING if getattr(config, name, None) not in (None, 1)), "model_type")
            allowed = "a model whose logits are its head's, or a way without gradients (--by likelihood, random, gepa)"
            raise ConfigError(f"{field} of the model", getattr(config, field), allowed)

    def slopes(self, rows: Sequence[Row], prompt: Sequence[int], place: int, candidates: Sequence[int]) -> Slopes:
        """Where token `place` of the prompt should go: the more negative a candidate's number, the more it is expected
        to lower the loss. Memory and time do not depend on the vocabulary but for the places whose tokens are judged.
        The prompt's own token must be among the candidates. Cost: one forward and one backward pass over the rows."""
        if prompt[place] not in candidates:
            raise ConfigError("candidates", prompt[place], "the prompt's own token among them")
        here = list(candidates).index(prompt[place])
        weights = functional.one_hot(torch.full((len(rows),), here), len(candidates)).to(self._embeddings)
        weights.requires_grad_(True)
        losses = self.losses_at(rows, prompt, place, candidates, weights)
        (gradient,) = torch.autograd.grad(losses.sum(), weights)
        return Slopes(losses.detach(), gradient)

    @torch.no_grad()
    def losses(self, rows: Sequence[Row], prompt: Sequence[int]) -> Tensor:
        """The loss of each row [n] with the prompt as it is. Cost: one forward pass over the rows."""
        return self.losses_at(rows, prompt, 0, [prompt[0]], self._embeddings.new_ones(len(rows), 1))

    def losses_at(
        self, rows: Sequence[Row], prompt: Sequence[int], place: int, candidates: Sequence[int], weights: Tensor
    ) -> Tensor:
        """The loss of each row [n] where token `place` is a mix of the candidates by weights [n, candidates]."""
        device = self._embeddings.device
        texts = [[*row.before, *prompt, *row.behind, *row.answer] for row in rows]
        ids, there = padded(texts, device)
        slots = torch.tensor([len(row.before) + place for row in rows], device=device)
        mixed = weights @ self._looked_up(torch.tensor(candidates, device=device))
        spread = self._looked_up(ids)
        spread = spread.index_put((torch.arange(len(rows), device=device), slots), mixed)
        states = self._states(spread, there)
        found = [
            self._one(states[number], row, prompt, place, (candidates, weights[number]))
            for number, row in enumerate(rows)
        ]
        return torch.stack(found)

    def _one(
        self, states: Tensor, row: Row, prompt: Sequence[int], place: int, mix: tuple[Sequence[int], Tensor]
    ) -> Tensor:
        """The loss of one row by the states [length, width] of its text."""
        start, end = len(row.before), len(row.before) + len(prompt)
        first = end + len(row.behind)
        answer = torch.tensor(row.answer, device=states.device)
        logits = self._logits(states[first - 1 : first + len(answer) - 1]) / self._terms.temperature
        loss = functional.cross_entropy(logits, answer)
        if self._terms.prompt_weight:
            likely = torch.log_softmax(self._logits(states[start - 1 : end - 1]), -1)
            told = likely.gather(1, torch.tensor(prompt, device=states.device)[:, None])[:, 0]
            candidates, weights = mix
            relaxed = (weights * likely[place, torch.tensor(candidates, device=states.device)]).sum()
            total = told.sum() - told[place] + relaxed
            loss = loss - self._terms.prompt_weight * total / len(prompt)
        if self._terms.stop_weight and row.stop:
            length, tokens = row.stop
            ending = torch.log_softmax(self._logits(states[end + length - 1 : end + length]), -1)[0, list(tokens)]
            loss = loss - self._terms.stop_weight * ending.logsumexp(0)
        return loss

    def _looked_up(self, ids: Tensor) -> Tensor:
        """Embeddings of tokens, scaled where the model scales them."""
        found: Tensor = self._model.get_input_embeddings()(ids)
        return found.detach()

    def _states(self, embeddings: Tensor, there: Tensor) -> Tensor:
        found: Tensor = self._body(inputs_embeds=embeddings, attention_mask=there, use_cache=False).last_hidden_state
        return found

    def _logits(self, states: Tensor) -> Tensor:
        found: Tensor = self._model.get_output_embeddings()(states)
        return found.float() if found.dtype is not torch.float64 else found
