"""The Q8_0 twin of a Q4_1 file: the same model, wider."""

import gguf
import numpy as np
import pytest

from poise.errors import ModelError
from poise.models.reencode import as_q8_0

SHA = "0" * 64


@pytest.fixture
def shipped(tmp_path):
    """A file with one Q4_1 matrix, one float vector, and a vocabulary."""
    path = tmp_path / "tiny.Q4_1.gguf"
    weights = np.random.default_rng(3).normal(size=(4, 64)).astype(np.float32)
    writer = gguf.GGUFWriter(path, arch="llama")
    writer.add_file_type(int(gguf.LlamaFileType.MOSTLY_Q4_1))
    writer.add_block_count(3)
    writer.add_token_list(["a", "b", "\u00e9"])
    kind = gguf.GGMLQuantizationType.Q4_1
    writer.add_tensor("blk.0.attn_q.weight", gguf.quantize(weights, kind), raw_dtype=kind)
    writer.add_tensor("output_norm.weight", np.arange(64, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def read(path):
    reader = gguf.GGUFReader(path)
    weights = {tensor.name: gguf.dequantize(tensor.data, tensor.tensor_type) for tensor in reader.tensors}
    return reader, weights


def test_the_twin_holds_the_same_model(shipped):
    twin = as_q8_0(shipped, SHA)
    assert twin.name == "tiny.Q8_0.gguf"
    (before, old), (after, new) = read(shipped), read(twin)
    kinds = {tensor.name: tensor.tensor_type.name for tensor in after.tensors}
    assert kinds == {"blk.0.attn_q.weight": "Q8_0", "output_norm.weight": "F32"}
    for name, weights in old.items():
        assert np.abs(new[name] - weights).max() <= np.abs(weights).max() / 127
    for field in ("general.architecture", "llama.block_count", "tokenizer.ggml.tokens"):
        assert after.fields[field].contents() == before.fields[field].contents()
    assert after.fields["general.file_type"].contents() == int(gguf.LlamaFileType.MOSTLY_Q8_0)


def test_it_is_made_once_and_again_when_it_was_changed(shipped):
    twin = as_q8_0(shipped, SHA)
    first = twin.stat().st_mtime_ns
    assert as_q8_0(shipped, SHA).stat().st_mtime_ns == first
    whole = twin.read_bytes()
    twin.write_bytes(whole[:-8])
    assert as_q8_0(shipped, SHA).read_bytes() == whole


def test_a_cache_that_cannot_be_written_is_a_model_error(shipped, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("POISE_CACHE", str(tmp_path / "file"))
    with pytest.raises(ModelError, match="cannot be written"):
        as_q8_0(shipped, SHA)
