"""The tokenizer and chat template that a GGUF file carries, as a Hugging Face tokenizer (byte-level BPE only)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from poise.errors import ModelError

# How llama.cpp's names for pre-tokenizers cut a text before the merges; the patterns are those of the models' files.
_WORDS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|"
_REST = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_LLAMA3, _QWEN2 = _WORDS + r"\p{N}{1,3}" + _REST, _WORDS + r"\p{N}" + _REST
_PATTERNS = {"llama-bpe": _LLAMA3, "llama3": _LLAMA3, "qwen2": _QWEN2}
_CONTROL, _USER_DEFINED = 3, 4


def tokenizer_of(path: Path) -> Any:
    """A PreTrainedTokenizerFast from the vocabulary, merges, special tokens and chat template of a GGUF file.

    Raises ModelError for a vocabulary that is not byte-level BPE or is cut by a rule not known here. About a second."""
    import gguf
    from tokenizers import AddedToken, Tokenizer, decoders, models
    from transformers import PreTrainedTokenizerFast

    fields = gguf.GGUFReader(path).fields
    names = ("model", "pre", "tokens", "merges", "token_type", "bos_token_id", "eos_token_id", "padding_token_id")
    said = {name: fields[f"tokenizer.ggml.{name}"].contents() for name in names if f"tokenizer.ggml.{name}" in fields}
    if said.get("model") != "gpt2":
        raise ModelError(f"{path}: its vocabulary is {said.get('model')!r}; byte-level BPE ('gpt2') can be read")
    tokens = said["tokens"]
    merges = [tuple(merge.split(" ")) for merge in said["merges"]]
    pre = said.get("pre", "gpt-2")
    # These take a word that is a token as it is, whatever the merges would make of it.
    whole = _PATTERNS.get(pre) == _LLAMA3
    tokenizer = Tokenizer(models.BPE({token: id for id, token in enumerate(tokens)}, merges, ignore_merges=whole))
    tokenizer.pre_tokenizer = _cutter(pre, path)
    tokenizer.decoder = decoders.ByteLevel()
    for token, kind in zip(tokens, said["token_type"], strict=True):
        if kind in (_CONTROL, _USER_DEFINED):
            added = AddedToken(token, special=kind == _CONTROL, normalized=False)
            (tokenizer.add_special_tokens if added.special else tokenizer.add_tokens)([added])
    template = fields.get("tokenizer.chat_template")
    roles = {"bos_token": "bos_token_id", "eos_token": "eos_token_id", "pad_token": "padding_token_id"}
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        chat_template=template.contents() if template else None,
        clean_up_tokenization_spaces=False,
        **{role: tokens[said[key]] for role, key in roles.items() if key in said},
    )


def _cutter(pre: str, path: Path) -> Any:
    from tokenizers import Regex, pre_tokenizers

    if pre == "smollm":
        return pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(False)])
    if pre in ("gpt-2", "default"):
        return pre_tokenizers.ByteLevel(add_prefix_space=False)
    if pre not in _PATTERNS:
        said = f"its words are cut by the rule {pre!r}, not known here; name the hub repository instead"
        raise ModelError(f"{path}: {said}")
    split = pre_tokenizers.Split(Regex(_PATTERNS[pre]), behavior="isolated")
    return pre_tokenizers.Sequence([split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
