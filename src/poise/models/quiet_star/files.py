"""A trained Quiet-STaR on disk: its own numbers beside a LoRA adapter in peft's layout; the base stays where it is.

quiet_star.json         the configuration, the gate, and the hash of the numbers
quiet_star.safetensors  start and end embeddings and the mixing head
adapter_config.json, adapter_model.safetensors, poise.json    as `poise lab train` leaves them (see `models.adapter`)
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from poise.errors import ConfigError, ModelError, PoiseError
from poise.models.adapter import Adapter, Base, read_adapter
from poise.models.catalogue import CATALOGUE, DEFAULT
from poise.models.dense import DenseModel, is_dense, is_repository, load_dense, with_adapter
from poise.models.find import locate
from poise.models.merge import check_base, words_hash
from poise.models.quiet_star.config import Bound, QuietStarConfig
from poise.models.quiet_star.gates import Gate, Unsure
from poise.models.quiet_star.model import QuietStar

NUMBERS, SETTINGS = "quiet_star.safetensors", "quiet_star.json"
FORMAT = 1
SHIPPED = Path(__file__).parents[1] / "adapters" / "quiet-star"
"""The one that ships with Poise, on the default model."""


def folder_of(name: str) -> Path:
    """The folder that a name means: the one that ships for nothing, "default" or "quiet-star", else a path."""
    return SHIPPED if name in ("", "default", SHIPPED.name) else Path(name).expanduser()


def is_quiet_star(folder: Path) -> bool:
    """Whether a folder holds one."""
    return (folder / SETTINGS).is_file()


def check_quiet_star(folder: Path) -> None:
    """Raise ConfigError for a folder that holds none."""
    if not is_quiet_star(folder):
        allowed = f"a folder with {SETTINGS}, as `poise lab quiet-star train` writes it"
        raise ConfigError("quiet_star", str(folder), allowed)


def save_numbers(model: QuietStar, folder: Path, measured: Mapping[str, float] | None = None) -> None:
    """Write configuration, embeddings and mixing head (2 bytes a number), and what was `measured`, to be read; the
    adapter is written by `poise.lab.export.export`. Raises ModelError for numbers that are not finite."""
    import torch
    from safetensors.torch import save

    state = own_state(model)
    for name, numbers in state.items():
        if not torch.isfinite(numbers).all():
            raise ModelError(f"{name} holds numbers that are not finite; nothing is written")
    whole = save({name: numbers.to("cpu", torch.bfloat16).contiguous() for name, numbers in state.items()})
    folder.mkdir(parents=True, exist_ok=True)
    said = dataclasses.asdict(model.config) | {"bound": model.config.bound.value}
    settings = {"format": FORMAT, "config": said, "sha256": hashlib.sha256(whole).hexdigest()}
    if model.gate:
        told = {"kind": model.gate.kind.value, "quantiles": model.gate.quantiles, "probe": model.gate.probe}
        settings["gate"] = told
    if measured:
        settings["measured"] = {name: round(value, 5) for name, value in measured.items()}
    (folder / NUMBERS).write_bytes(whole)
    (folder / SETTINGS).write_text(json.dumps(settings, indent=1) + "\n", encoding="utf-8")


def own_state(model: QuietStar) -> dict[str, Any]:
    """The numbers that are not the base's and not the adapter's, by name."""
    found = {"start": model.start.detach(), "end": model.end.detach()}
    return found | {f"mixer.{name}": value.detach() for name, value in model.mixer.state_dict().items()}


def load_quiet_star(folder: Path, base: str = "", dtype: str = "auto") -> tuple[QuietStar, DenseModel]:
    """The model with thoughts in `folder`, its adapter merged, and the base that it was put on: `base`, or the one that
    it was trained for by name.

    Raises ConfigError for a folder of something else (a stock model would answer too, only without thoughts) and for
    another base, by its hash, name, words or shape, ModelError for broken files and weights that cannot be had."""
    check_quiet_star(folder)
    config, gate, numbers = _read(folder)
    adapter = read_adapter(folder)
    _check_name(adapter, base or adapter.base.name)
    loaded = load_dense(base or adapter.base.name, dtype)
    width = loaded.model.get_input_embeddings().weight.shape[1]
    wanted = (loaded.model.config.model_type, loaded.model.config.vocab_size)
    trained = (adapter.base.architecture, adapter.base.vocabulary)
    if numbers["start"].shape != (width,) or wanted != trained or not _same_words(adapter.base, loaded.tokenizer):
        raise _another(loaded.name, adapter.base)
    merged = with_adapter(loaded.model, str(folder))
    made = QuietStar(merged, loaded.tokenizer, config)
    _put(made, numbers)
    made.gate = gate
    return made.eval().requires_grad_(False), dataclasses.replace(loaded, model=merged)


def _check_name(adapter: Adapter, name: str) -> None:
    """Raise ConfigError where a model is known to be another than the adapter's base before it is loaded: a known model
    or a hub repository by its name, a GGUF file by its hash. Of a folder, which has neither, words are compared later;
    it is never taken for a file of known hash."""
    known, wanted = DEFAULT if name == "default" else name, adapter.base
    if known in CATALOGUE and known == wanted.name:
        return  # its file may have been merged on this machine, which rounds as it likes
    if not is_dense(name):
        if wanted.sha256:
            check_base(adapter, locate(name).path)
    elif wanted.sha256 or (is_repository(name) and is_repository(wanted.name) and name != wanted.name):
        raise _another(name, wanted)


def _same_words(base: Base, tokenizer: Any) -> bool:
    """Whether a tokenizer has the vocabulary of the base, as far as that is known."""
    if not base.words_sha256:
        return True
    return len(tokenizer) >= base.words and base.words_sha256 == words_hash(
        tokenizer.convert_ids_to_tokens(list(range(base.words)))
    )


def _another(name: str, base: Base) -> ConfigError:
    return ConfigError("base", name, f"the base of this checkpoint, {base}")


def load_numbers(model: QuietStar, folder: Path) -> None:
    """Put the embeddings and the mixing head of a folder into a model of the same width, whatever the length of its
    thoughts. Raises ConfigError for another width, ModelError for broken files."""
    *_, numbers = _read(folder)
    if numbers["start"].shape != model.start.shape:
        raise ConfigError("start", str(folder), f"thoughts of a model of width {model.start.numel()}")
    _put(model, numbers)


def read_config(folder: Path) -> QuietStarConfig:
    """The configuration of a folder. Raises as `load_quiet_star` does."""
    check_quiet_star(folder)
    return _read(folder)[0]


def _put(model: QuietStar, numbers: dict[str, Any]) -> None:
    model.start.data.copy_(numbers["start"])
    model.end.data.copy_(numbers["end"])
    head = {name.removeprefix("mixer."): value for name, value in numbers.items() if name.startswith("mixer.")}
    model.mixer.load_state_dict(head)


def _read(folder: Path) -> tuple[QuietStarConfig, Gate | None, dict[str, Any]]:
    from safetensors.torch import load

    try:
        said = json.loads((folder / SETTINGS).read_text(encoding="utf-8"))
        whole = (folder / NUMBERS).read_bytes()
        if said["format"] != FORMAT or hashlib.sha256(whole).hexdigest() != said["sha256"]:
            raise ModelError(f"{folder}: {NUMBERS} is not the file that {SETTINGS} tells of")
        config = QuietStarConfig(**{**said["config"], "bound": Bound(said["config"]["bound"])})
        gate = said.get("gate")
        measured = _gate(gate) if gate else None
        return config, measured, {name: value.float() for name, value in load(whole).items()}
    except PoiseError:
        raise
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{folder}: no Quiet-STaR that can be read: {type(error).__name__}: {error}") from error


def _gate(said: dict[str, Any]) -> Gate:
    return Gate(Unsure(said["kind"]), tuple(said["quantiles"]), tuple(said["probe"]))
