"""`poise models`: what is there, what can be made, and merging."""

import hashlib
from pathlib import Path

import gguf
import pytest
import tiny_llama
from commands import output_of

from poise.cli import app
from poise.errors import ConfigError, UnknownName
from poise.models import find, merge
from poise.models.catalogue import AdaptedModel, KnownModel
from poise.models.verify import cache_folder


def invoke(*words):
    return output_of(app, "models", *words)


@pytest.fixture
def known(monkeypatch, tmp_path):
    """Two models are known: a tiny one, whose file is in the cache, and the same with an adapter."""
    monkeypatch.setenv("POISE_CACHE", str(tmp_path / "cache"))
    cache_folder().mkdir(parents=True)
    file = tiny_llama.write_base(cache_folder() / "tiny.gguf")
    sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
    base = KnownModel("tiny", "p", "1", "p_p/tiny.gguf", file.stat().st_size, sha256, "MIT")
    folder = tiny_llama.write_adapter(tmp_path / "adapter", tiny_llama.halves(), {"name": "tiny", "sha256": sha256})
    adapted = AdaptedModel("tiny-adapted", base, folder, 2_000_000, "MIT")
    for module in (find, merge):
        monkeypatch.setattr(module, "CATALOGUE", {"tiny": base, "tiny-adapted": adapted})
    return folder


def rows(printed):
    return {line.split()[0]: " ".join(line.split()[1:]) for line in printed.splitlines()[1:3]}


def test_the_list_tells_what_is_made_at_first_use(known):
    assert rows(invoke())["tiny-adapted"] == "p==1 + adapter MIT 2 MB at first use"
    path = invoke("fetch", "tiny-adapted").strip()
    assert path.endswith("tiny-adapted.Q8_0.gguf")
    assert rows(invoke())["tiny-adapted"] == "p==1 + adapter MIT 0 MB verified"
    Path(path).write_bytes(b"")
    assert rows(invoke()) == {"tiny": "p==1 MIT 0 MB verified", "tiny-adapted": "p==1 + adapter MIT 2 MB unverified"}


@pytest.mark.parametrize("words", [(), ("--base", "tiny"), ("--base", "FILE"), ("--kind", "bf16")])
def test_merging_a_folder(known, tmp_path, words):
    words = [str(cache_folder() / "tiny.gguf") if word == "FILE" else word for word in words]
    out = tmp_path / "merged.gguf"
    assert invoke("merge", known, "--out", out, *words).strip() == str(out)
    fields = gguf.GGUFReader(out).fields
    wanted = gguf.LlamaFileType.MOSTLY_BF16 if "bf16" in words else gguf.LlamaFileType.MOSTLY_Q8_0
    assert fields["general.file_type"].contents() == wanted


def test_merging_a_known_adapter_in_another_type(known, tmp_path):
    invoke("merge", "tiny-adapted", "--out", tmp_path / "merged.gguf", "--kind", "F16")
    assert {t.tensor_type.name for t in gguf.GGUFReader(tmp_path / "merged.gguf").tensors} == {"F16", "F32"}


def test_refusals_name_what_would_do(known, tmp_path):
    out = ("--out", tmp_path / "merged.gguf")
    with pytest.raises(ConfigError, match="a folder with a LoRA adapter or tiny-adapted"):
        invoke("merge", tmp_path / "none", *out)
    with pytest.raises(UnknownName, match="Q8_0"):
        invoke("merge", known, *out, "--kind", "Q3")
    with pytest.raises(ConfigError, match=r"org/tiny, as a \.gguf file"):
        invoke("merge", tiny_llama.write_adapter(tmp_path / "foreign", tiny_llama.halves()), *out)
    other = tiny_llama.write_base(tmp_path / "other.gguf", seed=5)
    with pytest.raises(ConfigError, match=r"trained for, tiny \(SHA-256"):
        invoke("merge", known, *out, "--base", other)
    assert not (tmp_path / "merged.gguf").exists()
