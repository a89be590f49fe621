"""What a model costs, read from its GGUF header or its Hugging Face configuration; the weights are not touched."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from poise.costs import Card
from poise.errors import ConfigError, ModelError
from poise.models.gguf_header import Header, Scalar, read_header

# Tensors that every token does not run through as a matrix product: embeddings, and the head (charged by vocabulary).
OUTSIDE_BODY = re.compile(r"(token_embd|position_embd|token_types|per_layer_token_embd|output)\.weight")
EXPERTS = re.compile(r"ffn_\w+_exps\.")


def card_of(path: Path | str) -> Card:
    """The card of a GGUF file, from its header alone (~50 ms). Raises ModelError as `read_header` does."""
    path = Path(path)
    return card_of_header(read_header(path), path)


def card_of_header(header: Header, path: Path) -> Card:
    """The card of a GGUF file whose header has been read. In a mixture of experts, the body counts the share of the
    experts that each token runs through, so that `Card.flops` is right. Raises ModelError when a number is missing."""
    share = _number(header, path, "expert_used_count", 1) / _number(header, path, "expert_count", 1)
    body = sum(t.elements * (share if EXPERTS.search(t.name) else 1.0) for t in header.tensors if _in_body(t.name))
    width = _number(header, path, "embedding_length")
    heads = _number(header, path, "attention.head_count")
    embeddings = next((t for t in header.tensors if t.name == "token_embd.weight"), None)
    if embeddings is None:
        raise ModelError(f"{path}: no token embeddings in it; is it a language model?")
    return Card(
        path.stem,
        parameters=sum(t.elements for t in header.tensors),
        body_parameters=round(body),
        layers=int(_number(header, path, "block_count")),
        width=int(width),
        attention_width=round(heads * _number(header, path, "attention.key_length", width / heads)),
        vocabulary=embeddings.elements // int(width),
        context=int(_number(header, path, "context_length")),
    )


def cache_bytes_per_token(header: Header, path: Path) -> float:
    """Size of one token in the KV cache at 16 bits per number."""
    heads = _number(header, path, "attention.head_count")
    width = _number(header, path, "embedding_length")
    key = _number(header, path, "attention.key_length", width / heads)
    value = _number(header, path, "attention.value_length", key)
    shared = _number(header, path, "attention.head_count_kv", heads)
    return 2 * _number(header, path, "block_count") * shared * (key + value)


def _in_body(name: str) -> bool:
    return not OUTSIDE_BODY.fullmatch(name)


def _number(header: Header, path: Path, key: str, default: float | None = None) -> float:
    """A number of the architecture; the mean where it is listed layer by layer."""
    value: Scalar | tuple[Scalar, ...] | None = header.metadata.get(
        f"{header.metadata.get('general.architecture')}.{key}", default
    )
    if isinstance(value, tuple):
        layers = [item for item in value if isinstance(item, (int, float))]
        value = sum(layers) / len(layers) if layers else default
    if not isinstance(value, (int, float)):
        raise ModelError(f"{path}: its GGUF header does not say {key}; is it a language model?")
    return value


def card_from_config(config: Mapping[str, object], name: str = "") -> Card:
    """The card of a dense llama-like model (Llama, Mistral, Qwen, SmolLM), computed from its `config.json`.

    Raises ConfigError when a number is missing or the model is a mixture of experts.
    """
    if config.get("num_local_experts") or config.get("num_experts"):
        raise ConfigError("config.num_experts", config, "a dense model; read a mixture of experts from its GGUF file")
    layers, width, heads = (_setting(config, k) for k in ("num_hidden_layers", "hidden_size", "num_attention_heads"))
    vocabulary, inner = _setting(config, "vocab_size"), _setting(config, "intermediate_size")
    head = _setting(config, "head_dim", width // heads)
    queries, keys = heads * head, _setting(config, "num_key_value_heads", heads) * head
    biases = queries + 2 * keys if config.get("attention_bias") or config.get("model_type") == "qwen2" else 0
    layer = 2 * width * queries + 2 * width * keys + biases + 3 * width * inner + 2 * width
    body = layers * layer + width
    tables = 1 if config.get("tie_word_embeddings") else 2
    return Card(
        name or str(config.get("_name_or_path", "")),
        parameters=body + tables * vocabulary * width,
        body_parameters=body,
        layers=layers,
        width=width,
        attention_width=queries,
        vocabulary=vocabulary,
        context=_setting(config, "max_position_embeddings"),
    )


def _setting(config: Mapping[str, object], key: str, default: int | None = None) -> int:
    value = config.get(key)
    value = default if value is None else value
    if not isinstance(value, int):
        raise ConfigError(f"config.{key}", value, "a whole number, as in a llama-like config.json")
    return value
