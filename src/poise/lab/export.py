"""What a training leaves: an adapter that peft and Poise read, and a GGUF file for engines that know no adapters."""

from __future__ import annotations

import copy
import dataclasses
import hashlib
import json
import os
import tempfile
from pathlib import Path
from typing import Any

import torch

from poise.errors import ConfigError, StoreError, TrainingError
from poise.models.adapter import CONFIG, ORIGIN, WEIGHTS, Adapter, Base, read_adapter
from poise.models.catalogue import CATALOGUE, DEFAULT, KnownModel
from poise.models.dense import is_dense
from poise.models.fetch import fetch
from poise.models.find import locate, published
from poise.models.gguf_header import read_header
from poise.models.merge import check_base, merged, words_hash

FORMAT = 1


def export(adapted: Any, folder: Path, base: str | Path | KnownModel, tokenizer: Any = None, name: str = "") -> Adapter:
    """Write the adapter of a peft model into `folder`, in peft's layout and in bfloat16 (2 bytes a number), with a
    poise.json that tells what it was trained for: `base`, as `load_dense` was given it, and where that is no GGUF file,
    the vocabulary of `tokenizer`. The adapter is called `name`, or as the folder is. Other files in it stay.

    Raises ConfigError for a model without a LoRA adapter or of another base, TrainingError for numbers that are none,
    StoreError where it cannot be written; the adapter that was there stays then. Cost: hashes the base once."""
    _check(adapted)
    origin, path = _origin(base, adapted.config, tokenizer)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix="writing-") as scratch:
            draft = Path(scratch)
            _write(adapted, draft, origin, name or folder.resolve().name)
            if path is not None:
                check_base(read_adapter(draft), path)
            for file in (WEIGHTS, CONFIG, ORIGIN):  # in this order: what is half replaced is refused by its hash
                os.replace(draft / file, folder / file)
    except OSError as error:
        raise StoreError(f"{folder}: cannot be written: {error.strerror or error}") from error
    return read_adapter(folder)


def export_gguf(adapter: Path, base: str | Path | KnownModel, out: Path, kind: str = "Q8_0") -> Path:
    """Merge the adapter of a folder into a GGUF file of its base; see `poise.models.merge.merged`."""
    return merged(fetch(base) if isinstance(base, KnownModel) else published(str(base)), adapter, out, kind)


def _check(adapted: Any) -> None:
    from peft import PeftModel
    from peft.tuners.lora import LoraConfig

    if not isinstance(adapted, PeftModel) or not isinstance(adapted.active_peft_config, LoraConfig):
        raise ConfigError("adapted", type(adapted).__name__, "a model with a LoRA adapter of peft")


def _write(adapted: Any, folder: Path, origin: Base, name: str) -> None:
    from peft import get_peft_model_state_dict
    from safetensors.torch import save

    state = get_peft_model_state_dict(adapted, adapter_name=adapted.active_adapter, save_embedding_layers=False)
    for key, numbers in state.items():
        if not torch.isfinite(numbers).all():
            raise TrainingError(f"{key} holds numbers that are not finite; the adapter is not written")
    narrow = {key: numbers.detach().to("cpu", torch.bfloat16).contiguous() for key, numbers in state.items()}
    whole = save(narrow, metadata={"format": "pt"})
    (folder / WEIGHTS).write_bytes(whole)  # the library's own files are closed to all but their owner
    config = copy.deepcopy(adapted.active_peft_config)
    config.base_model_name_or_path, config.inference_mode = origin.name, True
    if not isinstance(config.target_modules, str):
        config.target_modules = sorted(config.target_modules)
    config.save_pretrained(str(folder))
    digest = hashlib.sha256(whole).hexdigest()
    said = {"format": FORMAT, "name": name, "weights_sha256": digest, "base": dataclasses.asdict(origin)}
    (folder / ORIGIN).write_text(json.dumps(said, indent=1) + "\n", encoding="utf-8")


def _origin(base: str | Path | KnownModel, config: Any, tokenizer: Any) -> tuple[Base, Path | None]:
    """What is written about the base, and its GGUF file if it has one."""
    known = base if isinstance(base, KnownModel) else CATALOGUE.get(DEFAULT if base == "default" else str(base))
    shape = {"architecture": config.model_type, "vocabulary": config.vocab_size}
    if isinstance(known, KnownModel):
        return Base(known.name, known.sha256, known.licence, **shape), fetch(known)
    if known is None and is_dense(str(base)):
        words = tokenizer.convert_ids_to_tokens(list(range(len(tokenizer)))) if tokenizer else []
        digest = words_hash(words) if words else ""
        return Base(_shown(str(base)), **shape, words=len(words), words_sha256=digest), None
    path = locate(str(base)).path
    licence = str(read_header(path).metadata.get("general.license", ""))
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return Base(known.name if known else _shown(str(base)), digest, licence, **shape), path


def _shown(name: str) -> str:
    """A base's name for others: of a place on this machine, the last part alone."""
    path = Path(name).expanduser()
    return path.resolve().name if path.exists() else name
