"""A random llama of a few thousand weights that can be run: as a GGUF file, and adapters for it, without torch."""

import json

import gguf
import numpy as np

WIDTH, LAYERS, HEADS, KEYS, INNER = 64, 2, 4, 2, 96
HEAD = WIDTH // HEADS
LINEARS = {
    "self_attn.q_proj": ("attn_q", WIDTH, WIDTH),
    "self_attn.k_proj": ("attn_k", HEAD * KEYS, WIDTH),
    "self_attn.v_proj": ("attn_v", HEAD * KEYS, WIDTH),
    "self_attn.o_proj": ("attn_output", WIDTH, WIDTH),
    "mlp.gate_proj": ("ffn_gate", INNER, WIDTH),
    "mlp.up_proj": ("ffn_up", INNER, WIDTH),
    "mlp.down_proj": ("ffn_down", WIDTH, INNER),
}
BYTES = [*map(chr, range(33, 127)), *map(chr, range(161, 173)), *map(chr, range(174, 256)), *map(chr, range(256, 324))]
WORDS = [*BYTES, "ab", "<end>"]
MATRICES = {"token_embd.weight": (len(WORDS), WIDTH)} | {
    f"blk.{layer}.{name}.weight": (outputs, inputs)
    for layer in range(LAYERS)
    for name, outputs, inputs in LINEARS.values()
}


def write_base(path, seed=0, kind="Q8_0", words=WORDS, architecture="llama", alignment=None):
    """A GGUF file whose matrices are of `kind`; the same weights for the same seed."""
    random = np.random.default_rng(seed)
    writer = gguf.GGUFWriter(path, architecture)
    if alignment:
        writer.add_custom_alignment(alignment)
    writer.add_name("Tiny")
    writer.add_license("mit")
    writer.add_block_count(LAYERS)
    writer.add_context_length(64)
    writer.add_embedding_length(WIDTH)
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KEYS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(10_000.0)
    writer.add_file_type(int(gguf.LlamaFileType.MOSTLY_Q8_0))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(words)
    writer.add_token_types([1] * (len(words) - 1) + [3])
    writer.add_token_merges(["a b"])
    writer.add_eos_token_id(len(words) - 1)
    writer.add_chat_template("{{ messages[0]['content'] }}")
    writer.add_tensor("output_norm.weight", np.ones(WIDTH, np.float32))
    for layer in range(LAYERS):
        for norm in ("attn_norm", "ffn_norm"):
            writer.add_tensor(f"blk.{layer}.{norm}.weight", random.uniform(0.5, 1.5, WIDTH).astype(np.float32))
    for name, (outputs, inputs) in MATRICES.items():
        weights = random.normal(0, 0.15, (len(words) if name == "token_embd.weight" else outputs, inputs))
        packed = gguf.quantize(weights.astype(np.float32), gguf.GGMLQuantizationType[kind])
        writer.add_tensor(name, packed, raw_dtype=gguf.GGMLQuantizationType[kind])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def weights_of(path):
    """Every tensor of a GGUF file in float32, and its type."""
    tensors = gguf.GGUFReader(path).tensors
    return {t.name: (np.array(gguf.dequantize(t.data, t.tensor_type)), t.tensor_type.name) for t in tensors}


def halves(rank=4, seed=1, outputs=None):
    """The tensors of an adapter on every linear layer, as peft names them."""
    random, state = np.random.default_rng(seed), {}
    for layer in range(LAYERS):
        for place, (_, rows, columns) in LINEARS.items():
            key = f"base_model.model.model.layers.{layer}.{place}"
            state[f"{key}.lora_A.weight"] = random.normal(0, 0.2, (rank, columns)).astype(np.float32)
            state[f"{key}.lora_B.weight"] = random.normal(0, 0.2, (outputs or rows, rank)).astype(np.float32)
    return state


def write_adapter(folder, state, base=None, *, kind="F32", **settings):
    """An adapter's folder as peft leaves it, and a poise.json where a `base` is given."""
    folder.mkdir(exist_ok=True)
    write_safetensors(folder / "adapter_model.safetensors", state, kind)
    config = {"peft_type": "LORA", "r": 4, "lora_alpha": 8, "base_model_name_or_path": "org/tiny"} | settings
    (folder / "adapter_config.json").write_text(json.dumps(config))
    if base is not None:
        (folder / "poise.json").write_text(json.dumps({"name": "tiny-adapted", "base": base}))
    return folder


def write_safetensors(path, state, kind="F32"):
    """A safetensors file; bfloat16 by cutting off the lower half of each float32."""
    raw = {"F32": lambda x: x.tobytes(), "F16": lambda x: x.astype("<f2").tobytes()}
    raw["BF16"] = lambda x: (x.view(np.uint32) >> 16).astype("<u2").tobytes()
    table, data = {"__metadata__": {"format": "pt"}}, b""
    for name, numbers in state.items():
        packed = raw[kind](numbers)
        table[name] = {
            "dtype": kind,
            "shape": list(numbers.shape),
            "data_offsets": [len(data), len(data) + len(packed)],
        }
        data += packed
    header = json.dumps(table).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header + data)
    return path


def interleaved(rows, heads):
    """Rows of a query or key matrix as llama.cpp wants them, written out one by one: pair i of a head is rows (2 i,
    2 i + 1) there, and rows (i, i + half) in transformers."""
    size = rows.shape[0] // heads
    order = [
        head * size + pair + half * size // 2 for head in range(heads) for pair in range(size // 2) for half in (0, 1)
    ]
    return rows[order]
