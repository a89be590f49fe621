"""Adapters, and what comes of merging one into a GGUF file of its base."""

import hashlib
import json

import gguf
import numpy as np
import pytest
from tiny_llama import HEADS, KEYS, LAYERS, LINEARS, WORDS, halves, interleaved, weights_of, write_adapter, write_base

from poise.errors import ConfigError, DataError, ModelError, UnknownName
from poise.models import merge, reencode
from poise.models.adapter import read_adapter
from poise.models.merge import KINDS, check_base, merged, words_hash, words_of
from poise.models.verify import cache_folder

# The largest error of each kind, as a share of the largest weight of a matrix: half a step, and a 16-bit scale.
ERROR = {"F32": 1e-6, "F16": 2**-11, "BF16": 2**-8, "Q8_0": 0.6 / 127, "Q4_0": 1.05 / 8, "Q4_1": 1.05 / 15}


@pytest.fixture
def base(tmp_path):
    return write_base(tmp_path / "base.gguf")


def sha(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def known(base, **more):
    """What poise.json says of a base that is this file."""
    return {
        "name": "tiny",
        "sha256": sha(base),
        "licence": "MIT",
        "architecture": "llama",
        "vocabulary": len(WORDS),
    } | more


@pytest.fixture
def adapter(tmp_path, base):
    return write_adapter(tmp_path / "adapter", halves(), known(base))


def expected(base, state, scale):
    """The merged weights, from the definition."""
    whole = {name: weights for name, (weights, _) in weights_of(base).items()}
    for layer in range(LAYERS):
        for place, (name, _, _) in LINEARS.items():
            key = f"base_model.model.model.layers.{layer}.{place}"
            added = scale * state[f"{key}.lora_B.weight"] @ state[f"{key}.lora_A.weight"]
            heads = {"attn_q": HEADS, "attn_k": KEYS}.get(name)
            whole[f"blk.{layer}.{name}.weight"] += interleaved(added, heads) if heads else added
    return whole


@pytest.mark.parametrize("kind", KINDS)
def test_merged_weights_are_base_plus_product(base, adapter, tmp_path, kind):
    out = merged(base, adapter, tmp_path / "new" / "merged.gguf", kind)
    found = weights_of(out)
    for name, weights in expected(base, halves(), scale=2.0).items():
        exact = weights.ndim == 1
        assert found[name][1] == ("F32" if exact else kind)
        assert np.abs(found[name][0] - weights).max() <= (0 if exact else ERROR[kind] * np.abs(weights).max())
    changed = np.abs(found["blk.0.attn_q.weight"][0] - weights_of(base)["blk.0.attn_q.weight"][0]).max()
    assert changed > 0.5, "the adapter is too small to see above the error"
    assert not list(out.parent.glob("*.tmp"))


@pytest.mark.parametrize("kind", KINDS)
def test_metadata_is_the_bases_but_for_name_and_type(base, adapter, tmp_path, kind):
    before = gguf.GGUFReader(base).fields
    after = gguf.GGUFReader(merged(base, adapter, tmp_path / "merged.gguf", kind)).fields
    own = {"general.name", "general.file_type", "general.quantization_version"}
    same = [name for name in before if not name.startswith("GGUF.") and name not in own]
    assert len(same) > 12
    assert {name: after[name].contents() for name in same} == {name: before[name].contents() for name in same}
    assert {name: after[name].types for name in same} == {name: before[name].types for name in same}
    assert after["general.name"].contents() == "tiny-adapted"
    assert (
        gguf.LlamaFileType(after["general.file_type"].contents()).name.removeprefix("MOSTLY_").removeprefix("ALL_")
        == kind
    )
    assert ("general.quantization_version" in after) == kind.startswith("Q")


@pytest.mark.parametrize("numbers", ["F32", "F16", "BF16"])
def test_scale_and_number_type_of_the_adapter(base, tmp_path, numbers):
    folder = write_adapter(tmp_path / "a", halves(), kind=numbers, lora_alpha=6, use_rslora=True)
    found = weights_of(merged(base, folder, tmp_path / "merged.gguf", "F32"))
    for name, weights in expected(base, halves(), scale=6 / 4**0.5).items():
        assert np.abs(found[name][0] - weights).max() <= 0.03 * np.abs(weights).max()


def test_a_matrix_without_adapter_is_copied_bit_by_bit(base, tmp_path):
    state = {key: numbers for key, numbers in halves().items() if "layers.1.mlp.up_proj" in key}
    out = merged(base, write_adapter(tmp_path / "a", state, known(base)), tmp_path / "merged.gguf")
    before = {tensor.name: tensor.data.tobytes() for tensor in gguf.GGUFReader(base).tensors}
    after = {tensor.name: tensor.data.tobytes() for tensor in gguf.GGUFReader(out).tensors}
    assert [name for name in before if before[name] != after[name]] == ["blk.1.ffn_up.weight"]


def test_other_alignment_and_types_of_a_base(tmp_path):
    base = write_base(tmp_path / "wide.gguf", kind="BF16", alignment=256)
    out = merged(base, write_adapter(tmp_path / "a", halves()), tmp_path / "merged.gguf", "BF16")
    found = weights_of(out)
    for name, weights in expected(base, halves(), 2.0).items():
        assert np.abs(found[name][0] - weights).max() <= ERROR["BF16"] * np.abs(weights).max()


def test_reading_an_adapter(adapter, base):
    read = read_adapter(adapter)
    assert (read.name, read.rank, read.alpha, read.base.name, read.base.licence) == (
        "tiny-adapted",
        4,
        8.0,
        "tiny",
        "MIT",
    )
    assert len(read.pairs) == LAYERS * len(LINEARS)
    assert read.numbers == sum(numbers.size for numbers in halves().values())
    assert (read.base.sha256, read.difference("output_norm.weight")) == (sha(base), None)


@pytest.mark.parametrize(
    "settings",
    [
        {"peft_type": "LOHA"},
        {"use_dora": True},
        {"alpha_pattern": {"q_proj": 3}},
        {"fan_in_fan_out": True},
        {"init_lora_weights": "pissa"},
    ],
)
def test_adapters_that_are_more_than_lora_are_refused(base, tmp_path, settings):
    folder = write_adapter(tmp_path / "a", halves(), known(base), **settings)
    with pytest.raises(ConfigError, match=next(iter(settings))):
        read_adapter(folder)


@pytest.mark.parametrize(
    "key",
    [
        "base_model.model.lm_head.lora_A.weight",
        "base_model.model.model.layers.0.self_attn.q_proj.lora_B.bias",
        "base_model.model.model.layers.0.self_attn.qkv_proj.lora_A.weight",
        "base_model.model.model.layers.0.input_layernorm.lora_A.weight",
    ],
)
def test_tensors_that_have_no_place_are_refused(base, tmp_path, key):
    folder = write_adapter(tmp_path / "a", halves() | {key: np.zeros((4, 64), np.float32)}, known(base))
    with pytest.raises(ConfigError, match=r"linear layers of a llama.*tiny"):
        read_adapter(folder)


def test_halves_that_do_not_fit_each_other(base, tmp_path):
    state = halves()
    del state["base_model.model.model.layers.1.mlp.up_proj.lora_A.weight"]
    with pytest.raises(ModelError, match=r"blk\.1\.ffn_up\.weight"):
        read_adapter(write_adapter(tmp_path / "a", state, known(base)))


def test_an_empty_adapter(base, tmp_path):
    with pytest.raises(ModelError, match="no adapter in it"):
        read_adapter(write_adapter(tmp_path / "a", {}, known(base)))


@pytest.mark.parametrize("gone", ["adapter_config.json", "adapter_model.safetensors"])
def test_a_folder_without_an_adapter(adapter, gone):
    (adapter / gone).unlink()
    with pytest.raises(ConfigError, match=f"no {gone}"):
        read_adapter(adapter)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("adapter_config.json", '{"peft_type": "LORA", '),
        ("adapter_config.json", '{"peft_type": "LORA", "r": "four", "lora_alpha": 1}'),
        ("adapter_config.json", '{"peft_type": "LORA", "r": 4, "lora_alpha": NaN}'),
        ("poise.json", "[]"),
        ("poise.json", '{"base": "tiny"}'),
        ("poise.json", '{"base": {"name": "tiny", "vocabulary": "many"}}'),
    ],
)
def test_broken_settings_are_data_errors(adapter, name, text):
    (adapter / name).write_text(text)
    with pytest.raises(DataError, match=name):
        read_adapter(adapter)


def test_torn_numbers_are_noticed_by_length_and_by_hash(adapter):
    weights, origin = adapter / "adapter_model.safetensors", adapter / "poise.json"
    whole = weights.read_bytes()
    origin.write_text(json.dumps(json.loads(origin.read_text()) | {"weights_sha256": sha(weights)}))
    read_adapter(adapter)
    weights.write_bytes(whole[:-1] + b"\x01")
    with pytest.raises(ModelError, match=r"export it again.*wrong hash"):
        read_adapter(adapter)
    weights.write_bytes(whole[:-10])
    with pytest.raises(ModelError, match="truncated"):
        read_adapter(adapter)


def test_another_base_is_refused_by_its_hash(adapter, tmp_path):
    other = write_base(tmp_path / "other.gguf", seed=5)
    with pytest.raises(ConfigError, match=r"other\.gguf \(SHA-256 .*trained for, tiny \(SHA-256") as failure:
        merged(other, adapter, tmp_path / "merged.gguf")
    assert failure.value.field == "base"
    assert not (tmp_path / "merged.gguf").exists()


@pytest.mark.parametrize(
    ("change", "state", "said"),
    [
        ({"architecture": "qwen2"}, halves(), "architecture qwen2"),
        ({"words": [*WORDS, "<more>"]}, halves(), f"{len(WORDS) + 1} words"),
        ({"words": [*WORDS[1:-1], "<other>", WORDS[-1]]}, halves(), "another vocabulary"),
        ({}, halves(outputs=48), "blk.0.attn_q.weight 64x64"),
        (
            {},
            {key.replace("layers.1", "layers.7"): value for key, value in halves().items()},
            "blk.7.attn_q.weight missing",
        ),
    ],
)
def test_another_model_is_refused_where_no_hash_is_known(tmp_path, change, state, said):
    """By architecture, size and words of the vocabulary, shapes and number of layers."""
    known = {"name": "org/tiny", "vocabulary": len(WORDS), "words": len(WORDS), "words_sha256": words_hash(WORDS)}
    base = write_base(tmp_path / "base.gguf", **change)
    with pytest.raises(ConfigError, match="the adapter tiny-adapted was trained for, org/tiny") as failure:
        merged(base, write_adapter(tmp_path / "a", state, known), tmp_path / "merged.gguf")
    assert said in str(failure.value)


def test_an_adapter_for_another_architecture(base, tmp_path):
    folder = write_adapter(tmp_path / "a", halves(), {"name": "gem", "architecture": "gemma3"})
    with pytest.raises(ConfigError, match=r"gemma3.*trained for, gem"):
        merged(base, folder, tmp_path / "merged.gguf")


def test_the_words_of_the_base_are_compared_as_far_as_the_tokenizer_went(base):
    assert words_of(base) == words_hash(WORDS) != words_of(base, 10) == words_hash(WORDS[:10])


def test_the_q8_0_twin_of_the_base_counts_as_the_base(adapter, base, tmp_path):
    twin = write_base(tmp_path / "twin.gguf", seed=5)
    with pytest.raises(ConfigError):
        check_base(read_adapter(adapter), twin)
    merge.mark(twin, reencode.q8_0_proof(sha(base)))
    assert check_base(read_adapter(adapter), twin) == sha(base)


def test_progress_is_told_in_bytes(base, adapter, tmp_path):
    seen = []
    out = merged(base, adapter, tmp_path / "merged.gguf", progress=lambda done, size: seen.append((done, size)))
    weights = sum(tensor.n_bytes for tensor in gguf.GGUFReader(out).tensors)
    assert seen == sorted(seen)
    assert seen[-1] == (weights, weights)


def test_a_kind_and_a_place_that_cannot_be(base, adapter, tmp_path):
    with pytest.raises(UnknownName, match="Q8_0"):
        merged(base, adapter, tmp_path / "merged.gguf", "Q8")
    for out in (base, tmp_path):
        with pytest.raises(ConfigError, match="other than the base"):
            merged(base, adapter, out)


def test_a_truncated_base(base, adapter, tmp_path):
    base.write_bytes(base.read_bytes()[:-100])
    with pytest.raises(ModelError, match="truncated"):
        merged(base, adapter, tmp_path / "merged.gguf")


def test_a_failed_merge_leaves_what_was_there(base, adapter, tmp_path, monkeypatch):
    out = merged(base, adapter, tmp_path / "merged.gguf")
    before = out.read_bytes()

    def full(*arguments, **more):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(gguf.GGUFWriter, "write_tensor_data", full)
    with pytest.raises(ModelError, match="No space left"):
        merged(base, adapter, out, "F16")
    assert out.read_bytes() == before
    assert sorted(path.name for path in tmp_path.glob("merged*")) == ["merged.gguf"]


def test_rows_that_fill_no_block_and_routers_keep_more_bits():
    def tensor(name, *shape):
        return type("Tensor", (), {"name": name, "shape": np.array(shape)})

    assert merge._kind(tensor("blk.0.ffn_up.weight", 48, 64), "Q8_0") == "F16"
    assert merge._kind(tensor("blk.0.ffn_up.weight", 48, 64), "BF16") == "BF16"
    assert merge._kind(tensor("blk.0.ffn_gate_inp.weight", 64, 8), "Q8_0") == "F32"


def test_the_cache_is_filled_once_and_again_when_it_was_changed(base, adapter, monkeypatch, tmp_path):
    monkeypatch.setenv("POISE_CACHE", str(tmp_path / "cache"))
    asked = []

    def fetched():
        asked.append(1)
        return base

    path = merge.merged_once(fetched, sha(base), adapter)
    assert path.is_relative_to(cache_folder() / "merged")
    assert path.name == "tiny-adapted.Q8_0.gguf"
    first, whole = path.stat().st_mtime_ns, path.read_bytes()
    assert merge.merged_once(fetched, sha(base), adapter) == path
    assert (path.stat().st_mtime_ns, len(asked)) == (first, 1)
    path.write_bytes(whole[:-8])
    assert merge.merged_once(fetched, sha(base), adapter).read_bytes() == whole
    assert len(asked) == 2


def test_another_adapter_gets_another_place_in_the_cache(base, adapter, tmp_path):
    def place(folder):
        return merge.place_in_cache(sha(base), read_adapter(folder))[0]

    same = write_adapter(tmp_path / "same", halves(), known(base))
    numbers = write_adapter(tmp_path / "numbers", halves(seed=2), known(base))
    scale = write_adapter(tmp_path / "scale", halves(), known(base), lora_alpha=9)
    assert place(adapter) == place(same)
    assert len({place(adapter), place(numbers), place(scale)}) == 3
