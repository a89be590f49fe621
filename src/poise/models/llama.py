"""A llama-family forward pass over plain tensors: what training and decoding share. It is the same mathematics as the
classes in `transformers`, with nothing in between, so that a compiler can fuse it and adapters cost two thin products.
"""

from __future__ import annotations

import dataclasses
import functools
import logging
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from torch import Tensor
from torch.nn import functional

from poise.models import packed

logger = logging.getLogger(__name__)

Linear: TypeAlias = tuple[Tensor, Tensor | None, Tensor | None, float]
"""Weight [out, in], adapter down [rank, in] and up [out, rank] or None, and the adapter's scale."""


@dataclass(frozen=True, slots=True)
class Layer:
    """The tensors of one layer."""

    input_norm: Tensor
    output_norm: Tensor
    query: Linear
    key: Linear
    value: Linear
    output: Linear
    gate: Linear
    up: Linear
    down: Linear
    heads: Linear | None = None  # query, key and value in one, where somebody has put them together


@dataclass(frozen=True, slots=True)
class Shape:
    """The numbers of a model that its tensors do not tell. `window`: places that it knows, each of which sees all that
    is before it; longer texts are not for this forward pass."""

    heads: int
    key_heads: int
    head_width: int
    epsilon: float
    rope_theta: float
    window: int


@dataclass(frozen=True, slots=True)
class Llama:
    """A whole model: embeddings [vocabulary, width], layers, final norm, and head [vocabulary, width]."""

    embeddings: Tensor
    layers: tuple[Layer, ...]
    norm: Tensor
    head: Tensor
    shape: Shape


FAMILY = ("LlamaForCausalLM", "MistralForCausalLM")
"""Classes of `transformers` with these tensors. Mistral's may have a sliding window, and is a llama within it."""


def view_of(model: Any) -> Llama | None:
    """The tensors of a `transformers` Llama or Mistral (with or without LoRA layers of peft), shared and not copied;
    None for a model of another kind, or with parts that this forward pass does not know (biases, scaled rotary
    angles)."""
    inner = getattr(getattr(model, "base_model", None), "model", model)
    config = getattr(inner, "config", None)
    if type(inner).__name__ not in FAMILY or config is None:
        return None
    if getattr(config, "attention_bias", False) or getattr(config, "mlp_bias", False):  # Mistral's has neither
        return None
    rope = getattr(config, "rope_parameters", None) or {}
    if rope.get("rope_type", "default") != "default":
        return None
    heads = config.num_attention_heads
    width = getattr(config, "head_dim", None) or config.hidden_size // heads
    theta = rope.get("rope_theta") or config.rope_theta
    shape = Shape(heads, config.num_key_value_heads, width, config.rms_norm_eps, float(theta), window_of(config))
    layers = tuple(_layer(layer) for layer in inner.model.layers)
    return Llama(inner.model.embed_tokens.weight, layers, inner.model.norm.weight, inner.lm_head.weight, shape)


def window_of(config: Any) -> int:
    """Places that a model of `transformers` knows and that all see what is before them: its positions, or its sliding
    window where that is smaller; endless where it says neither."""
    said = getattr(config, "max_position_embeddings", None) or getattr(config, "n_positions", None)
    return min(int(said or 1 << 30), int(getattr(config, "sliding_window", None) or 1 << 30))


def packed_twin(model: Llama) -> Llama:
    """The same model with its matrices laid out for the products of decoding (`poise.models.packed`), adapters merged;
    the model itself where that brings nothing or takes too much memory."""
    weights = [model.head, *(part[0] for layer in model.layers for part in _parts(layer))]
    if not packed.worth_it(weights):
        return model
    try:
        with torch.inference_mode():
            layers = tuple(map(_packed, model.layers))
            return dataclasses.replace(model, layers=layers, head=packed.laid_out(model.head))
    except RuntimeError as error:  # a processor whose oneDNN has no bfloat16
        logger.info("weights stay as they are: %s", error)
        return model


def _parts(layer: Layer) -> tuple[Linear, ...]:
    return layer.query, layer.key, layer.value, layer.output, layer.gate, layer.up, layer.down


def _packed(layer: Layer) -> Layer:
    query, key, value, *others = map(_merged, _parts(layer))
    heads, output, gate, up, down = (
        (packed.laid_out(weight), None, None, 1.0) for weight in (torch.cat((query, key, value)), *others)
    )
    return dataclasses.replace(layer, heads=heads, output=output, gate=gate, up=up, down=down)


def _merged(part: Linear) -> Tensor:
    weight, down, up, scale = part
    if down is None or up is None:
        return weight
    return (weight.float() + scale * up.float() @ down.float()).to(weight.dtype)


def _layer(layer: Any) -> Layer:
    attention, mlp = layer.self_attn, layer.mlp
    return Layer(
        layer.input_layernorm.weight,
        layer.post_attention_layernorm.weight,
        *(_linear(m) for m in (attention.q_proj, attention.k_proj, attention.v_proj, attention.o_proj)),
        *(_linear(m) for m in (mlp.gate_proj, mlp.up_proj, mlp.down_proj)),
    )


def _linear(module: Any) -> Linear:
    if not hasattr(module, "lora_A"):
        return module.weight, None, None, 1.0
    name = module.active_adapters[0]
    return module.base_layer.weight, module.lora_A[name].weight, module.lora_B[name].weight, float(module.scaling[name])


def linear(x: Tensor, weights: Linear) -> Tensor:
    """A product with its adapter; adapters may be kept in a wider type than the activations."""
    weight, down, up, scale = weights
    y = packed.product(x, weight)
    if down is None or up is None:
        return y
    return y + functional.linear(functional.linear(x, down.to(x.dtype)), (up * scale).to(x.dtype))


def norm(x: Tensor, weight: Tensor, epsilon: float) -> Tensor:
    """Root-mean-square norm, in float32 inside."""
    wide = x.float()
    return weight * (wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + epsilon)).to(x.dtype)


def angles(positions: Tensor, shape: Shape, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Cosines and sines of the rotary angles, [..., 1, head_width / 2]: the same for all heads of a place."""
    powers = torch.arange(0, shape.head_width, 2, dtype=torch.float32, device=positions.device) / shape.head_width
    turns = positions.float()[..., None, None] / (shape.rope_theta**powers)
    return turns.cos().to(dtype), turns.sin().to(dtype)


def rotated(x: Tensor, cosines: Tensor, sines: Tensor) -> Tensor:
    """Rotary position embedding of [..., head_width], halves paired as in transformers."""
    first, second = x.chunk(2, -1)
    return torch.cat((first * cosines - second * sines, second * cosines + first * sines), -1)


def projected(h: Tensor, layer: Layer, shape: Shape, cosines: Tensor, sines: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Queries [..., heads, head_width], keys and values [..., key_heads, head_width] of normed states [..., width];
    queries and keys rotated to their places."""
    if layer.heads is None:
        every = torch.cat([linear(h, part) for part in (layer.query, layer.key, layer.value)], -1)
    else:
        every = linear(h, layer.heads)
    heads = every.view(*h.shape[:-1], -1, shape.head_width)
    turned = rotated(heads[..., : -shape.key_heads, :], cosines, sines)
    return turned[..., : shape.heads, :], turned[..., shape.heads :, :], heads[..., -shape.key_heads :, :]


def attended(query: Tensor, keys: Tensor, values: Tensor, mask: Tensor) -> Tensor:
    """Attention written out: query [..., n, width] over keys and values [..., m, width], mask added to the scores."""
    scores = (query @ keys.transpose(-1, -2)).float() * query.shape[-1] ** -0.5 + mask
    return torch.softmax(scores, -1).to(values.dtype) @ values


def after_attention(x: Tensor, mixed: Tensor, layer: Layer, shape: Shape) -> Tensor:
    """What follows attention in a layer: its output added to x, then the feed-forward part."""
    if layer.output[0].is_mkldnn:
        x = packed.added(x, mixed, layer.output[0])
        h = norm(x, layer.output_norm, shape.epsilon)
        return packed.added(x, packed.gated(h, layer.gate[0], layer.up[0]), layer.down[0])
    x = x + linear(mixed, layer.output)
    h = norm(x, layer.output_norm, shape.epsilon)
    return x + linear(functional.silu(linear(h, layer.gate)) * linear(h, layer.up), layer.down)


def layer_forward(x: Tensor, layer: Layer, shape: Shape, cosines: Tensor, sines: Tensor, mask: Tensor) -> Tensor:
    """One layer over whole sequences: x [batch, length, width], additive mask [batch or 1, 1, length, length] in
    float32, cosines and sines [batch or 1, length, 1, head_width / 2]."""
    heads = projected(norm(x, layer.input_norm, shape.epsilon), layer, shape, cosines, sines)
    query, key, value = (part.transpose(1, 2) for part in heads)
    groups = shape.heads // shape.key_heads
    # Attention is written out: the fused CPU kernel's backward pass is twice as slow as these products.
    mixed = attended(query, key.repeat_interleave(groups, 1), value.repeat_interleave(groups, 1), mask)
    return after_attention(x, mixed.transpose(1, 2).flatten(2), layer, shape)


LayerForward: TypeAlias = Callable[[Tensor, Layer, Shape, Tensor, Tensor, Tensor], Tensor]


@functools.cache
def compiled() -> LayerForward:
    """`layer_forward`, fused by the compiler of PyTorch where the machine has a C++ compiler (twice as fast on CPUs;
    half a minute per shape), else as it is."""
    if not (torch.cuda.is_available() or shutil.which("g++") or shutil.which("clang++")):
        logger.info("no C++ compiler: the layers run uncompiled, at about half the speed")
        return layer_forward
    return torch.compile(layer_forward, dynamic=False)


def hidden_states(
    model: Llama, tokens: Tensor, positions: Tensor, mask: Tensor, forward: LayerForward = layer_forward
) -> Tensor:
    """The last hidden states, after the final norm, of token ids [batch, length] at `positions` [batch, length]; `mask`
    [batch, 1, length, length] is added to the attention scores."""
    return through(model, functional.embedding(tokens, model.embeddings), positions, mask, forward)


def through(model: Llama, x: Tensor, positions: Tensor, mask: Tensor, forward: LayerForward = layer_forward) -> Tensor:
    """The same of embeddings [batch, length, width]."""
    if torch.is_grad_enabled():
        x = x if x.requires_grad else x.requires_grad_()  # so that the first layer is compiled like all others
    cosines, sines = angles(positions, model.shape, x.dtype)
    for layer in model.layers:
        x = forward(x, layer, model.shape, cosines, sines, mask)
    return norm(x, model.norm, model.shape.epsilon)
