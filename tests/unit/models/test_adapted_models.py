"""Known models that are another model and an adapter, merged on first use."""

import hashlib

import pytest
import tiny_llama

from poise.errors import ConfigError, ModelError
from poise.models import catalogue, find, listing, locate
from poise.models.catalogue import AdaptedModel, KnownModel
from poise.models.verify import cache_folder


@pytest.fixture
def known(monkeypatch, tmp_path):
    """The catalogue holds a tiny model, whose file is in the cache, and the same with an adapter."""
    monkeypatch.setenv("POISE_CACHE", str(tmp_path / "cache"))
    cache_folder().mkdir(parents=True)
    file = tiny_llama.write_base(cache_folder() / "tiny.Q4_1.gguf", kind="Q4_1")
    sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
    base = KnownModel("tiny", "p", "1", f"p_p/{file.name}", file.stat().st_size, sha256, "MIT", widened=True)
    said = {"name": "tiny", "sha256": sha256, "vocabulary": len(tiny_llama.WORDS)}
    folder = tiny_llama.write_adapter(tmp_path / "adapter", tiny_llama.halves(), said)
    adapted = AdaptedModel("tiny-adapted", base, folder, 12345, "MIT")
    monkeypatch.setattr(find, "CATALOGUE", {"tiny": base, "tiny-adapted": adapted})
    monkeypatch.setattr(find, "DEFAULT", "tiny-adapted")
    return adapted


@pytest.mark.parametrize("name", ["default", "tiny-adapted"])
def test_it_is_merged_on_first_use_and_found_then(known, name):
    first = locate(name)
    assert (first.name, first.path.name, first.card.layers) == (name, "tiny-adapted.Q8_0.gguf", tiny_llama.LAYERS)
    (cache_folder() / "tiny.Q4_1.gguf").unlink()  # nothing needs the base again
    assert locate(name).path == first.path


def test_it_is_merged_from_the_published_file_and_not_from_its_twin(known):
    locate("tiny-adapted")
    assert [path.name for path in cache_folder().glob("*.gguf")] == ["tiny.Q4_1.gguf"]
    assert find.published("tiny") == cache_folder() / "tiny.Q4_1.gguf"
    assert find.published("default") == locate("default").path


def test_listing_says_what_will_be_made_and_what_is_there(known):
    _, before = listing()
    assert (before.source, before.size, before.path, before.verified, before.made) == (
        *("p==1 + adapter", 12345, None, False, True),
    )
    path = locate("tiny-adapted").path
    _, after = listing()
    assert (after.path, after.size, after.verified) == (path, path.stat().st_size, True)
    path.write_bytes(b"")
    assert [(row.path, row.verified) for row in listing()][1] == (path, False)


def test_an_adapter_that_is_not_in_this_installation_is_not_offered(known):
    assert known.shipped
    (known.folder / "poise.json").unlink()
    assert not known.shipped


def test_a_base_of_another_hash_is_refused_before_anything_is_made(known):
    tiny_llama.write_base(cache_folder() / "tiny.Q4_1.gguf", seed=5, kind="Q4_1")
    with pytest.raises(ModelError, match="wrong hash"):
        locate("tiny-adapted")
    assert not (cache_folder() / "merged").exists()


def test_adapters_by_folder_and_by_name(known, tmp_path):
    assert find.adapter_folder("tiny-adapted") == find.adapter_folder(str(known.folder)) == known.folder
    with pytest.raises(ConfigError, match="a folder with a LoRA adapter or tiny-adapted"):
        find.adapter_folder(str(tmp_path / "none"))


def test_shipped_adapters_are_whole_and_fit_their_base():
    from poise.models.adapter import read_adapter

    adapted = [entry for entry in catalogue.CATALOGUE.values() if isinstance(entry, AdaptedModel)]
    assert catalogue.DEFAULT in catalogue.CATALOGUE
    for entry in adapted:
        adapter = read_adapter(entry.folder)
        assert (adapter.name, adapter.base.name, adapter.base.sha256) == (
            entry.name,
            entry.base.name,
            entry.base.sha256,
        )
        assert sum(file.stat().st_size for file in entry.folder.iterdir()) <= 12e6
