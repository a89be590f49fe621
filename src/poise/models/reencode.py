"""Rewriting GGUF files: the same model in other number types, with an adapter added or not.

The default model is run as its Q8_0 twin, made once, because Q4_1 has no matrix kernel in llama.cpp on CPUs: on 2 cores
with AVX2 the twin reads prompts 1.7 times as fast and generates 1.5 times as fast (docs/lab.md). Eight bits hold the
sixteen levels of a Q4_1 block to within half a 127th of its largest weight, so the texts hardly change; the file grows
by half.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from poise.errors import ConfigError, ModelError
from poise.models.fetch import Progress
from poise.models.verify import cache_folder, is_verified, mark


@dataclass(frozen=True, slots=True)
class Edit:
    """What becomes of a GGUF file. `kind(tensor)`: the name of the ggml type in which a tensor of gguf.GGUFReader is
    written; `added(name)`: float32 numbers that are added to the weights first, or None; `metadata`: values that are
    put in the place of those there, or beside them."""

    kind: Callable[[Any], str]
    metadata: Mapping[str, int | str]
    added: Callable[[str], Any] = lambda name: None


def q8_0_proof(sha256: str) -> str:
    """What marks a file as the Q8_0 twin of the file with this hash."""
    return f"Q8_0 of {sha256}"


def as_q8_0(path: Path, sha256: str, progress: Progress | None = None) -> Path:
    """The Q8_0 twin of a verified Q4_1 file, made in the cache where it is missing or was changed.

    Raises ModelError where it cannot be written, ConfigError without the gguf package. Cost: a few seconds, once."""
    twin = cache_folder() / path.name.replace("Q4_1", "Q8_0")
    if twin.exists() and is_verified(twin, q8_0_proof(sha256)):
        return twin
    kinds = {"Q4_1": "Q8_0"}
    edit = Edit(lambda tensor: kinds.get(tensor.tensor_type.name, tensor.tensor_type.name), file_type("Q8_0"))
    rewrite(path, twin, edit, progress)
    mark(twin, q8_0_proof(sha256))
    return twin


def file_type(kind: str) -> dict[str, int | str]:
    """The metadata of a file whose matrices are mostly of `kind`."""
    gguf = library()
    entry: dict[str, int | str] = {
        "general.file_type": int(gguf.LlamaFileType[f"{'ALL' if kind == 'F32' else 'MOSTLY'}_{kind}"])
    }
    if kind.startswith("Q"):
        entry["general.quantization_version"] = int(gguf.GGML_QUANT_VERSION)
    return entry


def rewrite(source: Path, target: Path, edit: Edit, progress: Progress | None = None) -> None:
    """Write `target`, whole or not at all: `source` as `edit` says. `progress` is told of bytes written and in all.

    Raises ModelError where it cannot be written, ConfigError without the gguf package. Cost: memory for the largest
    matrix in float32; some ten seconds of one core per 100 million weights that change their type."""
    gguf = library()
    draft = target.with_name(f"{target.name}.{os.getpid()}.tmp")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _write(gguf, source, draft, edit, progress or (lambda done, size: None))
        os.replace(draft, target)
    except OSError as error:
        raise ModelError(f"{target}: cannot be written: {error.strerror or error}") from error
    finally:
        with contextlib.suppress(OSError):
            draft.unlink(missing_ok=True)


def library() -> Any:
    """The gguf package, which is imported only where it is needed. Raises ConfigError without it."""
    try:
        import gguf
    except ModuleNotFoundError:
        raise ConfigError("models", "gguf is not installed", 'pip install "poise[local]"') from None
    return gguf


def _write(gguf: Any, source: Path, target: Path, edit: Edit, progress: Progress) -> None:
    reader = gguf.GGUFReader(source)
    writer = gguf.GGUFWriter(target, arch=reader.fields["general.architecture"].contents())
    try:
        _copy_metadata(gguf, reader, writer, edit.metadata)
        kinds = [gguf.GGMLQuantizationType[edit.kind(tensor)] for tensor in reader.tensors]
        sizes = [_bytes(gguf, tensor, kind) for tensor, kind in zip(reader.tensors, kinds, strict=True)]
        for tensor, kind, size in zip(reader.tensors, kinds, sizes, strict=True):
            writer.add_tensor_info(tensor.name, tensor.shape.tolist()[::-1], None, size, raw_dtype=kind)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
        for place, (tensor, kind) in enumerate(zip(reader.tensors, kinds, strict=True), 1):
            writer.write_tensor_data(_encoded(gguf, tensor, kind, edit.added(tensor.name)))
            progress(sum(sizes[:place]), sum(sizes))
    finally:
        writer.close()


def _bytes(gguf: Any, tensor: Any, kind: Any) -> int:
    weights, size = gguf.GGML_QUANT_SIZES[kind]
    return int(tensor.n_elements) // int(weights) * int(size)


def _encoded(gguf: Any, tensor: Any, kind: Any, added: Any) -> Any:
    """A tensor's data in `kind`; what stays as it is is not unpacked."""
    if added is None and tensor.tensor_type is kind:
        return tensor.data
    weights = gguf.dequantize(tensor.data, tensor.tensor_type)
    return gguf.quantize(weights if added is None else weights + added, kind)


def _copy_metadata(gguf: Any, reader: Any, writer: Any, changed: Mapping[str, int | str]) -> None:
    # The writer sets the architecture, and aligns by the format's default.
    dropped = ("general.architecture", "general.alignment", *changed)
    for field in reader.fields.values():
        contents = field.contents()
        if field.name.startswith("GGUF.") or field.name in dropped or contents == []:  # the writer refuses empty lists
            continue
        kind = field.types[0]
        inner = field.types[-1] if kind is gguf.GGUFValueType.ARRAY else None
        writer.add_key_value(field.name, contents, kind, sub_type=inner)
    for name, value in changed.items():
        kind = gguf.GGUFValueType.STRING if isinstance(value, str) else gguf.GGUFValueType.UINT32
        writer.add_key_value(name, value, kind)
