"""A GGUF model of a few kilobytes, with the shape of a real one and no meaning."""

import gguf
import numpy as np

WIDTH, LAYERS, HEADS, KEYS, INNER, VOCABULARY, CONTEXT = 64, 2, 4, 2, 96, 1500, 128
BODY = LAYERS * (2 * WIDTH * WIDTH + 2 * WIDTH * WIDTH * KEYS // HEADS + 3 * WIDTH * INNER + 2 * WIDTH) + WIDTH


def write(path, *, tied=True, experts=0, alignment=None):
    """Write a llama-like model; `experts` > 0 makes its feed-forward layers a mixture, two experts to a token."""
    writer = gguf.GGUFWriter(path, "llama")
    if alignment:
        writer.add_custom_alignment(alignment)
    writer.add_block_count(LAYERS)
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(WIDTH)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KEYS)
    if experts:
        writer.add_expert_count(experts)
        writer.add_expert_used_count(2)
    writer.add_token_list([f"word {i}" for i in range(VOCABULARY)])
    writer.add_token_scores([0.0] * VOCABULARY)
    writer.add_array("general.languages", ["en", "fr"])
    half, quarter = np.float16, gguf.GGMLQuantizationType.Q8_0
    writer.add_tensor("token_embd.weight", np.zeros((VOCABULARY, WIDTH), half))
    if not tied:
        writer.add_tensor("output.weight", np.zeros((VOCABULARY, WIDTH), half))
    writer.add_tensor("output_norm.weight", np.zeros(WIDTH, np.float32))
    narrow = WIDTH * KEYS // HEADS
    for layer in range(LAYERS):
        for name, shape in _block(narrow, experts).items():
            if len(shape) == 1:
                writer.add_tensor(f"blk.{layer}.{name}.weight", np.zeros(shape, np.float32))
                continue
            packed = gguf.quantize(np.zeros(shape, np.float32), quarter)
            writer.add_tensor(f"blk.{layer}.{name}.weight", packed, raw_dtype=quarter)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _block(narrow, experts):
    shapes = {"attn_q": (WIDTH, WIDTH), "attn_k": (narrow, WIDTH), "attn_v": (narrow, WIDTH)}
    shapes |= {"attn_output": (WIDTH, WIDTH), "attn_norm": (WIDTH,), "ffn_norm": (WIDTH,)}
    for name, shape in {"gate": (INNER, WIDTH), "up": (INNER, WIDTH), "down": (WIDTH, INNER)}.items():
        shapes |= {f"ffn_{name}_exps": (experts, *shape)} if experts else {f"ffn_{name}": shape}
    return shapes
