"""Finding a model by what the user calls it: a known name, a GGUF file, or a hub repository."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from poise.costs import Card
from poise.errors import ConfigError, ModelError, UnknownName
from poise.models.card import cache_bytes_per_token, card_of_header
from poise.models.catalogue import CATALOGUE, DEFAULT, AdaptedModel, KnownModel
from poise.models.fetch import Progress, fetch, have
from poise.models.gguf_header import read_header
from poise.models.hub import REPOSITORY, from_hub
from poise.models.reencode import as_q8_0
from poise.models.verify import is_verified


@dataclass(frozen=True, slots=True)
class ModelFile:
    """A GGUF file that is here, whole by its header, and by its hash where one is known. `cache_bytes_per_token`: what
    one token of context takes in a KV cache of 16 bits a number."""

    name: str
    path: Path
    card: Card
    cache_bytes_per_token: float


@dataclass(frozen=True, slots=True)
class ModelRow:
    """One line of `poise models`; `size` in bytes, `path` where the file is if it is here. `made`: merged on this
    machine from another model and an adapter."""

    name: str
    source: str
    licence: str
    size: int
    path: Path | None
    verified: bool
    made: bool = False


def locate(name: str = "default", progress: Progress | None = None) -> ModelFile:
    """The model called `name`: "default" or another known name, a path to a .gguf file, a hub repository "org/repo",
    "org/repo:file.gguf" or "org/repo:Q4_K_M". Known and hub models are downloaded the first time, and one that is made
    of another and an adapter is merged then.

    Raises UnknownName or ConfigError for a name that cannot be meant, ModelError when the file is missing, truncated,
    of the wrong hash, or cannot be downloaded. Blocks: call it before an event loop runs, or in a thread.
    """
    path = _path(name, progress)
    header = read_header(path)
    return ModelFile(name, path, card_of_header(header, path), cache_bytes_per_token(header, path))


def _path(name: str, progress: Progress | None) -> Path:
    known = CATALOGUE.get(DEFAULT if name == "default" else name)
    if isinstance(known, AdaptedModel):
        return _merged(known, progress)
    if known is not None:
        path = fetch(known, progress)
        return as_q8_0(path, known.sha256, progress) if known.widened else path
    path = Path(name).expanduser()
    if path.is_dir():
        raise ConfigError("model", name, "a .gguf file, not a folder")
    if path.is_file():
        return path
    hub = REPOSITORY.fullmatch(name)
    if hub and (hub["wanted"] or not name.endswith(".gguf")):
        return from_hub(hub["repository"], hub["wanted"])
    raise _unknown(name)


def check_name(name: str) -> None:
    """Raises, without fetching anything, as `locate` does for a name that cannot be meant."""
    path, hub = Path(name).expanduser(), REPOSITORY.fullmatch(name)
    if name == "default" or name in CATALOGUE or path.exists():
        return
    if not (hub and (hub["wanted"] or not name.endswith(".gguf"))):
        raise _unknown(name)


def _unknown(name: str) -> ModelError | UnknownName:
    if name.endswith(".gguf") or "/" in name:
        return ModelError(f"{name}: no such file")
    return UnknownName("model", name, ["default", *CATALOGUE])


def _merged(known: AdaptedModel, progress: Progress | None) -> Path:
    from poise.models.merge import merged_once  # not at the top: it needs numpy, and reads dense names

    return merged_once(lambda: fetch(known.base, progress), known.base.sha256, known.folder, progress)


def published(name: str, progress: Progress | None = None) -> Path:
    """The GGUF file of `name` as it was published: not the wider twin that `locate` runs. Raises as `locate` does."""
    known = CATALOGUE.get(DEFAULT if name == "default" else name)
    return fetch(known, progress) if isinstance(known, KnownModel) else _path(name, progress)


def adapter_folder(name: str) -> Path:
    """The folder of an adapter, by its path or by the known model that it ships for. Raises ConfigError for neither."""
    known = CATALOGUE.get(name)
    if isinstance(known, AdaptedModel):
        return known.folder
    path = Path(name).expanduser()
    if not path.is_dir():
        shipped = [entry.name for entry in CATALOGUE.values() if isinstance(entry, AdaptedModel)]
        raise ConfigError("adapter", name, " or ".join(["a folder with a LoRA adapter", *shipped]))
    return path


def listing() -> list[ModelRow]:
    """The known models and whether each is here. Reads no weights."""
    return [_adapted_row(known) if isinstance(known, AdaptedModel) else _row(known) for known in CATALOGUE.values()]


def _row(known: KnownModel) -> ModelRow:
    path = have(known)
    verified = path is not None and is_verified(path, known.sha256)
    return ModelRow(known.name, known.source, known.licence, known.size, path, verified)


def _adapted_row(known: AdaptedModel) -> ModelRow:
    from poise.models.adapter import read_adapter
    from poise.models.merge import place_in_cache

    path, whole = place_in_cache(known.base.sha256, read_adapter(known.folder))
    size = path.stat().st_size if whole else known.size
    return ModelRow(known.name, known.source, known.licence, size, path if path.is_file() else None, whole, made=True)
