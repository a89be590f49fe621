import contextlib
import struct

import gguf
import pytest
import tiny_gguf
from hypothesis import given, settings
from hypothesis import strategies as st

from poise.errors import ModelError
from poise.models.gguf_header import BLOCKS, read_header


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return tiny_gguf.write(tmp_path_factory.mktemp("gguf") / "tiny.gguf")


@pytest.mark.parametrize("alignment", [None, 64])
def test_header_agrees_with_the_gguf_package(tmp_path, alignment):
    path = tiny_gguf.write(tmp_path / "a.gguf", alignment=alignment)
    ours, theirs = read_header(path), gguf.GGUFReader(path)
    assert [(t.name, list(t.shape), t.type, t.elements, t.bytes) for t in ours.tensors] == [
        (t.name, t.shape.tolist(), t.tensor_type, t.n_elements, t.n_bytes) for t in theirs.tensors
    ]
    last = max(theirs.tensors, key=lambda tensor: tensor.data_offset)
    assert ours.needed_bytes == last.data_offset + last.n_bytes


def test_short_lists_are_kept_and_vocabularies_stepped_over(whole):
    metadata = read_header(whole).metadata
    assert metadata["general.languages"] == ("en", "fr")
    assert metadata["llama.block_count"] == tiny_gguf.LAYERS
    assert not {"tokenizer.ggml.tokens", "tokenizer.ggml.scores"} & set(metadata)


def test_block_sizes_are_those_of_ggml():
    theirs = {int(kind): tuple(sizes) for kind, sizes in gguf.GGML_QUANT_SIZES.items()}
    assert {kind: BLOCKS[kind] for kind in theirs if kind in BLOCKS} == {
        kind: sizes for kind, sizes in theirs.items() if kind in BLOCKS
    }
    assert len(BLOCKS) >= 30


def test_missing_file(tmp_path):
    with pytest.raises(ModelError, match=r"nowhere.gguf: cannot be read: No such file"):
        read_header(tmp_path / "nowhere.gguf")


def test_wrong_magic_says_what_is_there(tmp_path):
    path = tmp_path / "page.gguf"
    path.write_bytes(b"<html>moved</html>")
    with pytest.raises(ModelError, match=r"not a GGUF file: it starts with b'<htm'"):
        read_header(path)


@pytest.mark.parametrize("version", [1, 4, 3 << 24])
def test_other_versions_are_refused(whole, tmp_path, version):
    path = tmp_path / "other.gguf"
    path.write_bytes(b"GGUF" + struct.pack("<I", version) + whole.read_bytes()[8:])
    with pytest.raises(ModelError, match="GGUF version"):
        read_header(path)


def test_truncated_weights_say_how_much_is_missing(whole, tmp_path):
    path = tmp_path / "short.gguf"
    needed = read_header(whole).needed_bytes
    path.write_bytes(whole.read_bytes()[: needed - 1])
    with pytest.raises(ModelError, match=f"truncated: {needed - 1:,} bytes, but its tensor table needs {needed:,}"):
        read_header(path)


@pytest.mark.parametrize("kept", [0, 3, 10, 200, 1000, 5000, 20_000])
def test_truncated_header(whole, tmp_path, kept):
    path = tmp_path / "shorter.gguf"
    path.write_bytes(whole.read_bytes()[:kept])
    with pytest.raises(ModelError, match=r"shorter.gguf"):
        read_header(path)


def test_an_absurd_count_is_not_believed(tmp_path):
    path = tmp_path / "absurd.gguf"
    path.write_bytes(b"GGUF" + struct.pack("<IQQ", 3, 1 << 60, 0))
    with pytest.raises(ModelError, match="broken GGUF header"):
        read_header(path)


@settings(max_examples=60, deadline=None)
@given(at=st.integers(4, 3000), value=st.binary(min_size=1, max_size=8))
def test_a_damaged_header_raises_nothing_but_model_errors(whole, tmp_path_factory, at, value):
    content = bytearray(whole.read_bytes())
    content[at : at + len(value)] = value
    path = tmp_path_factory.getbasetemp() / "damaged.gguf"
    path.write_bytes(content)
    with contextlib.suppress(ModelError):
        header = read_header(path)
        assert header.needed_bytes <= len(content)
