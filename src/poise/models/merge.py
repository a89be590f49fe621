"""Merging an adapter into a GGUF file of its base, once: what comes out runs anywhere that llama.cpp does."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from poise.errors import ConfigError, ModelError, UnknownName
from poise.models.adapter import Adapter, read_adapter
from poise.models.catalogue import CATALOGUE
from poise.models.dense import permuted
from poise.models.fetch import Progress
from poise.models.gguf_header import Header, read_header
from poise.models.reencode import Edit, file_type, library, q8_0_proof, rewrite
from poise.models.verify import cache_folder, is_verified, mark

KINDS = ("Q8_0", "BF16", "F16", "Q4_0", "Q4_1", "F32")
ARITHMETIC = 1  # part of the cache's key: raise it when the same files would merge into other numbers
BLOCK = 32  # weights that share a scale, in all quantised kinds above
LLAMAS = ("", "llama", "mistral")  # in transformers; one architecture in GGUF files


def merged(base_gguf: Path, adapter: Path, out: Path, kind: str = "Q8_0", progress: Progress | None = None) -> Path:
    """Write `out`: the base with the adapter of the folder `adapter` added, matrices as `kind` (one of KINDS), vectors
    as F32, and the base's vocabulary, chat template and settings. An `out` that is there is replaced, whole.

    Raises ConfigError before anything is written when the adapter was trained for another base, ModelError for broken
    files. Cost: some ten seconds of one core per 100 million weights, and memory for the largest matrix. Of packages,
    it needs numpy and gguf alone."""
    if kind not in KINDS:
        raise UnknownName("kind", kind, KINDS)
    if out.is_dir() or (out.exists() and out.samefile(base_gguf)):
        raise ConfigError("out", str(out), "a file other than the base")
    read = read_adapter(adapter)
    sha256 = check_base(read, base_gguf)
    rewrite(base_gguf, out, _edit(base_gguf, read, kind), progress)
    mark(out, _proof(sha256, read, kind))
    return out


def base_name(adapter: Path) -> str:
    """The known model that an adapter was trained for. Raises ConfigError where it does not say, or says another."""
    base = read_adapter(adapter).base
    if base.name not in CATALOGUE:
        raise ConfigError("base", None, f"the model that the adapter was trained for, {base}, as a .gguf file")
    return base.name


def place_in_cache(base_sha256: str, adapter: Adapter, kind: str = "Q8_0") -> tuple[Path, bool]:
    """Where the cache keeps a merged model, and whether it is there, whole. Reads no weights."""
    proof = _proof(base_sha256, adapter, kind)
    key = hashlib.sha256(proof.encode()).hexdigest()[:16]
    path = cache_folder() / "merged" / key / f"{adapter.name}.{kind}.gguf"
    return path, path.is_file() and is_verified(path, proof)


def merged_once(base: Callable[[], Path], base_sha256: str, adapter: Path, progress: Progress | None = None) -> Path:
    """The merged Q8_0 file in the cache, made where it is missing or was changed; `base` is asked for only then.

    Raises as `merged` does."""
    path, there = place_in_cache(base_sha256, read_adapter(adapter))
    return path if there else merged(base(), adapter, path, progress=progress)


def check_base(adapter: Adapter, path: Path) -> str:
    """The SHA-256 of a GGUF file that is the adapter's base (of the published file, when its Q8_0 twin is named).

    Raises ConfigError, which says what the adapter was trained for, when the file is another model: by its hash where
    the adapter knows it, else by architecture, vocabulary and shapes."""
    header = read_header(path)
    check_fit(adapter, header, path)
    known = adapter.base.sha256
    if known and (is_verified(path, known) or is_verified(path, q8_0_proof(known))):
        return known
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if known and found != known:
        raise _another(adapter, f"{path.name} (SHA-256 {found[:12]}...)")
    if known:
        mark(path, known)
    elif adapter.base.words_sha256 and words_of(path, adapter.base.words) != adapter.base.words_sha256:
        raise _another(adapter, f"{path.name}, of another vocabulary")
    return found


def check_fit(adapter: Adapter, header: Header, path: Path) -> None:
    """Architecture, vocabulary size and shapes, from a GGUF header. ConfigError where the adapter does not fit."""
    architecture, shapes = header.metadata.get("general.architecture"), {t.name: t.shape for t in header.tensors}
    if architecture != "llama" or adapter.base.architecture not in LLAMAS:
        raise _another(
            adapter, f"{path.name}, architecture {architecture}", f"{adapter.base.architecture or 'llama'}: "
        )
    rows = shapes.get("token_embd.weight", (0, 0))[-1]
    if adapter.base.vocabulary not in (0, rows):
        raise _another(adapter, f"{path.name}, {rows} words", f"{adapter.base.vocabulary} words: ")
    for pair in adapter.pairs.values():
        found = shapes.get(pair.tensor)
        if found != (pair.inputs, pair.outputs):
            size = "x".join(map(str, found)) if found else "missing"
            raise _another(adapter, f"{path.name}, {pair.tensor} {size}", f"{pair.inputs}x{pair.outputs}: ")


def words_of(path: Path, count: int | None = None) -> str:
    """The hash of the first `count` entries of a GGUF file's vocabulary (all: None). About a second."""
    fields = library().GGUFReader(path).fields
    words = fields["tokenizer.ggml.tokens"].contents() if "tokenizer.ggml.tokens" in fields else []
    return words_hash(words[:count])


def words_hash(words: list[str]) -> str:
    """The hash of a vocabulary, in the order of its token ids."""
    return hashlib.sha256("\0".join(words).encode()).hexdigest()


def _another(adapter: Adapter, got: str, wanted: str = "") -> ConfigError:
    return ConfigError(
        "base", got, f"{wanted}the model that the adapter {adapter.name} was trained for, {adapter.base}"
    )


def _proof(base_sha256: str, adapter: Adapter, kind: str) -> str:
    return f"{kind} of {base_sha256} with adapter {adapter.sha256} {adapter.name}, arithmetic {ARITHMETIC}"


def _edit(base: Path, adapter: Adapter, kind: str) -> Edit:
    heads = _heads(read_header(base), base)

    def added(name: str) -> Any:
        rows = adapter.difference(name)
        if rows is None:
            return None
        count = heads.get(name.split(".")[-2])
        return permuted(rows, count) if count else rows

    metadata = {**file_type(kind), "general.name": adapter.name}
    return Edit(lambda tensor: _kind(tensor, kind), metadata, added)


def _heads(header: Header, path: Path) -> dict[str, int]:
    """Query and key heads: their rows are stored in another order than in transformers."""
    heads = header.metadata.get("llama.attention.head_count")
    keys = header.metadata.get("llama.attention.head_count_kv", heads)
    if not isinstance(heads, int) or not isinstance(keys, int):
        raise ModelError(f"{path}: its heads differ from layer to layer; an adapter cannot be merged into it")
    return {"attn_q": heads, "attn_k": keys}


def _kind(tensor: Any, kind: str) -> str:
    """Vectors, norms and the routers of experts stay exact; rows that do not fill whole blocks are kept in 16 bits."""
    if len(tensor.shape) < 2 or "norm" in tensor.name or "ffn_gate_inp" in tensor.name:
        return "F32"
    return "F16" if kind.startswith("Q") and int(tensor.shape[0]) % BLOCK else kind
