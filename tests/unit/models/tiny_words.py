"""A GGUF file with a small byte-level vocabulary, merges, special tokens and a chat template, and no weights."""

import gguf
from tokenizers import pre_tokenizers

LETTERS = sorted(pre_tokenizers.ByteLevel.alphabet())
MERGED = ["th", "the", "\u0120the", "12", "123", "ab"]
MERGES = ["t h", "th e", "\u0120 the", "1 2", "12 3"]  # none makes "ab" of its letters
SPECIAL = ["<|start|>", "<|end|>"]
TOKENS = [*LETTERS, *MERGED, *SPECIAL, "<mine>"]
NORMAL, CONTROL, USER_DEFINED = 1, 3, 4
TEMPLATE = "{% for m in messages %}<|start|>{{ m.content }}<|end|>{% endfor %}"


def write(path, pre="smollm", model="gpt2", template=TEMPLATE):
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_tokenizer_model(model)
    if pre:
        writer.add_tokenizer_pre(pre)
    writer.add_token_list(TOKENS)
    writer.add_token_types([NORMAL] * (len(LETTERS) + len(MERGED)) + [CONTROL, CONTROL, USER_DEFINED])
    writer.add_token_merges(MERGES)
    writer.add_bos_token_id(TOKENS.index("<|start|>"))
    writer.add_eos_token_id(TOKENS.index("<|end|>"))
    if template:
        writer.add_chat_template(template)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
