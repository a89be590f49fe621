import json

import numpy as np
import pytest
import tiny_llama

from poise.errors import ModelError
from poise.models.safetensors_file import open_safetensors

NUMBERS = np.array([[0.0, -0.0, 1.5], [-2.25, 2.0**-100, 3.0]], np.float32)


@pytest.mark.parametrize(("kind", "tiny"), [("F32", 2.0**-100), ("BF16", 2.0**-100), ("F16", 0.0)])
def test_numbers_come_back_as_float32(tmp_path, kind, tiny):
    found = open_safetensors(
        tiny_llama.write_safetensors(tmp_path / "a.safetensors", {"x": NUMBERS, "y": NUMBERS[0]}, kind)
    )
    x = found.array("x")
    assert (x.dtype, x.shape, found.array("y").shape) == (np.float32, (2, 3), (3,))
    assert x.tolist() == [[0.0, -0.0, 1.5], [-2.25, tiny, 3.0]]
    assert found.array("y").tolist() == [0.0, -0.0, 1.5]


def test_it_reads_what_the_library_writes(tmp_path):
    torch = pytest.importorskip("torch")
    save_file = pytest.importorskip("safetensors.torch").save_file
    state = {
        "a": torch.randn(5, 7).bfloat16(),
        "b": torch.randn(3).half(),
        "c": torch.randn(2, 2),
        "empty": torch.zeros(0, 4),
    }
    save_file(state, tmp_path / "a.safetensors", metadata={"format": "pt"})
    found = open_safetensors(tmp_path / "a.safetensors")
    assert set(found.places) == set(state)
    for name, numbers in state.items():
        assert np.array_equal(found.array(name), numbers.float().numpy())


@pytest.mark.parametrize(
    "spoil",
    [
        lambda whole: b"",
        lambda whole: whole[:5],
        lambda whole: whole[:30],
        lambda whole: whole[:-1],
        lambda whole: b"GGUF" + whole[4:],
        lambda whole: whole[:8] + b"?" + whole[9:],
        lambda whole: (2).to_bytes(8, "little") + b"[]",
        lambda whole: whole.replace(b"[2, 3]", b"[2, 4]"),
        lambda whole: whole.replace(b"[2, 3]", b"[2,-3]"),
        lambda whole: whole.replace(b"data_offsets", b"data_offsetz"),
    ],
)
def test_torn_and_other_files(tmp_path, spoil):
    path = tiny_llama.write_safetensors(tmp_path / "a.safetensors", {"x": NUMBERS})
    path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(ModelError, match=r"a\.safetensors.*not a safetensors file"):
        open_safetensors(path)


def test_a_type_that_is_not_read_is_named(tmp_path):
    header = json.dumps({"x": {"dtype": "I64", "shape": [1], "data_offsets": [0, 8]}}).encode()
    (tmp_path / "a").write_bytes(len(header).to_bytes(8, "little") + header + bytes(8))
    with pytest.raises(ModelError, match="'I64'; F32, F16, BF16"):
        open_safetensors(tmp_path / "a")


def test_a_missing_file(tmp_path):
    with pytest.raises(ModelError, match="No such file"):
        open_safetensors(tmp_path / "none")
