"""Dense weights in PyTorch: from the Hugging Face hub, a folder, or a GGUF file that is dequantised once.

`transformers` can load GGUF files too, but keeps the weights packed, and every product then unpacks them again: ten
times slower. Here they are unpacked once and kept in the cache as safetensors.
"""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from poise.costs import Card
from poise.errors import ConfigError, ModelError
from poise.models.card import card_from_config
from poise.models.find import locate
from poise.models.gguf_header import Header, read_header
from poise.models.hub import REPOSITORY
from poise.models.quiet import quiet
from poise.models.verify import cache_folder

logger = logging.getLogger(__name__)

# Of base models, which have none: what is said, a line each, and then the answer's.
PLAIN = "{{ bos_token }}{% for message in messages %}{{ message.content + '\n' }}{% endfor %}"

# The tensors of a llama-family file and their names in transformers.
LAYER = {
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
    "attn_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
}
OUTSIDE = {
    "token_embd.weight": "model.embed_tokens.weight",
    "output_norm.weight": "model.norm.weight",
    "output.weight": "lm_head.weight",
}
MOST_BYTES = 4 << 30  # of weights in float32 where bfloat16 would do
_BLOCK = re.compile(r"blk\.(\d+)\.(\w+)\.weight")


@dataclass(frozen=True, slots=True)
class DenseModel:
    """A causal language model in memory, its tokenizer (with a chat template, that of the model or a plain one), and
    what it costs."""

    name: str
    model: Any
    tokenizer: Any
    card: Card


def load_dense(name: str = "default", dtype: str = "auto", device: str = "auto") -> DenseModel:
    """The model called `name` (a known name, a .gguf file, a hub repository, a folder of Hugging Face files), dense.

    `dtype`: float32, bfloat16, float16, or auto: the weights in bfloat16, as float32 where that is faster (`upcasts`);
    `device`: cpu, cuda, or auto. Raises ConfigError without the torch extra, ModelError for weights that cannot be had.
    The first use of a GGUF file writes its dense twin. A model without a chat template is asked plainly: each message a
    line, and the answer the next."""
    torch, transformers = _libraries()
    folder = _folder(name)
    where = ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device
    kind = getattr(torch, "bfloat16" if dtype == "auto" else dtype, None)
    if not isinstance(kind, torch.dtype):
        raise ConfigError("dtype", dtype, "auto, float32, bfloat16 or float16")
    try:
        with quiet():
            model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=kind).to(where).eval()
            model = model.float() if dtype == "auto" and upcasts(model) else model
            tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    except (OSError, ValueError) as error:
        raise ModelError(f"{name}: cannot be loaded: {error}") from error
    if not tokenizer.chat_template:
        logger.info("%s has no chat template: each message is a line, and the answer the next", name)
        tokenizer.chat_template = PLAIN
    words, room = len(tokenizer), model.get_input_embeddings().num_embeddings
    if words > room:
        raise ModelError(f"{name}: its tokenizer has {words} tokens, its weights {room}: they do not belong together")
    return DenseModel(name, model, tokenizer, card_from_config(model.config.to_dict(), name))


def upcasts(model: Any) -> bool:
    """Whether weights in bfloat16 are better held in float32, value for value: on a CPU without instructions for
    products in bfloat16, where these take three times as long as in float32, up to `MOST_BYTES`."""
    import torch

    weights = list(model.parameters())
    if any(weight.device.type != "cpu" for weight in weights) or 4 * sum(map(torch.numel, weights)) > MOST_BYTES:
        return False
    return not any(there for name, there in torch.cpu.get_capabilities().items() if name.endswith("bf16"))


def with_adapter(model: Any, folder: str) -> Any:
    """A model with the adapter of a folder (peft's layout) merged in. Raises ConfigError for one that does not fit."""
    from peft import PeftModel

    try:
        with quiet():
            return PeftModel.from_pretrained(model, folder).merge_and_unload()
    except (OSError, ValueError, RuntimeError) as error:  # no such folder; no adapter; other shapes
        raise ConfigError("adapter", folder, f"a folder with an adapter for this model ({error})") from error


def _libraries() -> tuple[Any, Any]:
    try:
        import torch
        import transformers
    except ImportError:
        raise ConfigError("torch", "not installed", 'pip install "poise[torch]"') from None
    return torch, transformers


def _folder(name: str) -> str:
    """What transformers can load: a folder or a hub repository as it is, a GGUF file as its dense twin."""
    if is_repository(name):
        return name
    return str(Path(name).expanduser() if is_dense(name) else dense_twin(locate(name).path))


def is_dense(name: str) -> bool:
    """Whether a name means Hugging Face files: a folder, or a hub repository with no file named."""
    return Path(name).expanduser().is_dir() or is_repository(name)


def is_repository(name: str) -> bool:
    """Whether a name means a whole hub repository."""
    hub = REPOSITORY.fullmatch(name)
    return bool(hub and not hub["wanted"] and not name.endswith(".gguf") and not Path(name).expanduser().exists())


def dense_twin(path: Path) -> Path:
    """The folder with the dequantised bfloat16 weights, configuration and tokenizer of a llama-family GGUF file.

    Written once into the cache, keyed by the file's place, size and time. Raises ModelError for another family."""
    stat = path.stat()
    key = f"{path.stem}-{stat.st_size:x}-{stat.st_mtime_ns:x}"
    folder = cache_folder() / "dense" / key
    if (folder / "config.json").exists():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(dir=folder.parent, prefix="writing-"))
    try:
        _write_dense(path, scratch)
        if not folder.exists():
            os.replace(scratch, folder)
    except OSError as error:
        raise ModelError(f"{folder}: cannot be written: {error.strerror or error}") from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return folder


def _write_dense(path: Path, folder: Path) -> None:
    from safetensors.torch import save_file

    from poise.models.words import tokenizer_of

    header = read_header(path)
    config = llama_config(header, path)
    save_file(state_of(path, config), folder / "model.safetensors", metadata={"format": "pt"})
    tokenizer_of(path).save_pretrained(folder)
    (folder / "config.json").write_text(json.dumps(config, indent=1))


def llama_config(header: Header, path: Path) -> dict[str, Any]:
    """The `config.json` of a llama-family GGUF file."""
    data = header.metadata
    family = data.get("general.architecture")
    if family != "llama":
        raise ModelError(f"{path}: architecture {family!r}; llama-family files can be made dense")
    heads, width = data["llama.attention.head_count"], data["llama.embedding_length"]
    shapes = {tensor.name: tensor.shape for tensor in header.tensors}
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": width,
        "intermediate_size": data["llama.feed_forward_length"],
        "num_hidden_layers": data["llama.block_count"],
        "num_attention_heads": heads,
        "num_key_value_heads": data.get("llama.attention.head_count_kv", heads),
        "head_dim": data.get("llama.attention.key_length", int(width) // int(heads)),  # type: ignore[arg-type]
        "vocab_size": shapes["token_embd.weight"][1],
        "max_position_embeddings": data["llama.context_length"],
        "rope_theta": data.get("llama.rope.freq_base", 10_000.0),
        "rms_norm_eps": data["llama.attention.layer_norm_rms_epsilon"],
        "tie_word_embeddings": "output.weight" not in shapes,
        "bos_token_id": data.get("tokenizer.ggml.bos_token_id"),
        "eos_token_id": data.get("tokenizer.ggml.eos_token_id"),
        "hidden_act": "silu",
        "torch_dtype": "bfloat16",
    }


def state_of(path: Path, config: dict[str, Any]) -> dict[str, Any]:
    """The state dict of a llama-family GGUF file, in bfloat16."""
    import gguf
    import numpy as np
    import torch

    heads = {"attn_q": config["num_attention_heads"], "attn_k": config["num_key_value_heads"]}
    state = {}
    for tensor in gguf.GGUFReader(path).tensors:
        weights = torch.from_numpy(np.array(gguf.dequantize(tensor.data, tensor.tensor_type)))
        block = _BLOCK.fullmatch(tensor.name)
        if block and block[2] in LAYER:
            weights = unpermuted(weights, heads[block[2]]) if block[2] in heads else weights
            state[f"model.layers.{block[1]}.{LAYER[block[2]]}.weight"] = weights.to(torch.bfloat16).contiguous()
        elif tensor.name in OUTSIDE:
            state[OUTSIDE[tensor.name]] = weights.to(torch.bfloat16).contiguous()
        elif not tensor.name.startswith("rope_freqs"):
            raise ModelError(f"{path}: tensor {tensor.name!r} has no place in a dense llama model")
    return state


def unpermuted(weights: Any, heads: int) -> Any:
    """Query or key weights as Hugging Face stores them: llama.cpp interleaves the two halves of every rotary pair."""
    half = weights.shape[0] // heads // 2
    return weights.reshape(heads, half, 2, *weights.shape[1:]).swapaxes(1, 2).reshape(weights.shape)


def permuted(weights: Any, heads: int) -> Any:
    """The inverse of `unpermuted`."""
    half = weights.shape[0] // heads // 2
    return weights.reshape(heads, 2, half, *weights.shape[1:]).swapaxes(1, 2).reshape(weights.shape)


def body_of(model: Any) -> Any:
    """A causal model without its head, LoRA layers of peft included."""
    inner = model.get_base_model() if hasattr(model, "get_base_model") else model
    return inner.base_model
