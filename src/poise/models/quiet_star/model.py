"""A causal language model with thoughts: the model itself untouched, two embeddings, and a mixing head."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from poise.errors import ConfigError
from poise.models.dense import body_of
from poise.models.llama import LayerForward, through, view_of, window_of
from poise.models.quiet_star.config import Bound, QuietStarConfig
from poise.models.quiet_star.gates import Gate


class Mixer(nn.Module):
    """The mixing head: the weight of the state after the thought against the state without it, from both. Its last
    layer starts at zero, so a fresh model is its base exactly."""

    def __init__(self, width: int, bound: Bound = Bound.NONE) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(2 * width, width), nn.Linear(width, width)
        self.last, self.bound = nn.Linear(width, 1, bias=False), bound
        nn.init.zeros_(self.last.weight)

    def forward(self, base: Tensor, thought: Tensor) -> Tensor:
        """Weights [..., 1] of states [..., width]."""
        x = torch.cat((base, thought), -1).to(self.first.weight.dtype)
        weight: Tensor = self.last(self.second(self.first(x).relu()).relu())
        if self.bound is Bound.CLAMP:
            return weight.clamp(0, 1)
        return weight.tanh() if self.bound is Bound.TANH else weight


class QuietStar(nn.Module):
    """Wraps any causal model of `transformers` (with LoRA layers of peft or without); none of its code is changed, and
    with thoughts off it is that model. Start and end of a thought are parameters and no tokens: they have no id, so
    that nothing can sample them, whatever the vocabulary holds. In float32, beside weights of any type.

    Raises ConfigError for a model whose states cannot be read out, and for an initial token that is no text."""

    def __init__(self, model: Any, tokenizer: Any, config: QuietStarConfig) -> None:
        super().__init__()
        self.model, self.config = model, config
        self.gate: Gate | None = None  # measured when a training ends
        embeddings, head = model.get_input_embeddings(), model.get_output_embeddings()
        if embeddings is None or head is None:
            raise ConfigError("model", type(model).__name__, "a causal language model of transformers")
        width = embeddings.weight.shape[1]
        ids = {part: tokenizer.encode(text, add_special_tokens=False) for part, text in self._texts(config).items()}
        for part, found in ids.items():
            if not found:
                raise ConfigError(part, "", "text that the tokenizer knows")
        begun = [embeddings.weight[found].detach().float().mean(0) / config.embedding_scale for found in ids.values()]
        self.start, self.end = (nn.Parameter(one.clone()) for one in begun)
        self.mixer = Mixer(width, config.bound)
        self.to(embeddings.weight.device)

    @staticmethod
    def _texts(config: QuietStarConfig) -> dict[str, str]:
        return {"initial_start_token": config.initial_start_token, "initial_end_token": config.initial_end_token}

    @property
    def window(self) -> int:
        """Places that the model knows."""
        return window_of(self.model.config)

    @property
    def room(self) -> int:
        """Tokens that a text may have: the places that the model knows, less those of a thought behind the last."""
        return self.window - self.config.passes

    def marks(self) -> tuple[Tensor, Tensor]:
        """The start and end embeddings [width], as the model reads them."""
        kind, scale = self.model.get_input_embeddings().weight.dtype, self.config.embedding_scale
        return (self.start * scale).to(kind), (self.end * scale).to(kind)

    def embedded(self, ids: Tensor) -> Tensor:
        """Embeddings of token ids."""
        found: Tensor = self.model.get_input_embeddings()(ids)
        return found

    def states(self, embeddings: Tensor, mask: Tensor, positions: Tensor, cache: Any) -> Tensor:
        """The last hidden states [batch, length, width], after the final norm, of embeddings [batch, length, width] at
        positions [batch, length]; mask [1 or batch, 1, length, keys] is added to the scores; keys go into the cache."""
        body = body_of(self.model)
        said = body(
            inputs_embeds=embeddings,
            attention_mask=mask,
            position_ids=positions,
            past_key_values=cache,
            use_cache=True,
        )
        found: Tensor = said.last_hidden_state
        return found

    def whole(self, embeddings: Tensor, mask: Tensor, positions: Tensor, forward: LayerForward | None = None) -> Tensor:
        """The same of whole sequences, without a cache; `forward` runs the layers of a llama."""
        llama = view_of(self.model) if forward else None
        if llama and forward:
            return through(llama, embeddings, positions, mask.float(), forward)
        body = body_of(self.model)
        said = body(inputs_embeds=embeddings, attention_mask=mask, position_ids=positions, use_cache=False)
        found: Tensor = said.last_hidden_state
        return found

    def logits(self, states: Tensor) -> Tensor:
        """What the model's head makes of states."""
        head = self.model.get_output_embeddings()
        found: Tensor = head(states.to(head.weight.dtype))
        return found

    def mixed(self, base: Tensor, thought: Tensor) -> tuple[Tensor, Tensor]:
        """The state that predicts, (1 - w) base + w thought, in float32, and w without its last axis."""
        weight = self.mixer(base, thought)
        return base.float() + weight * (thought.float() - base.float()), weight[..., 0]
