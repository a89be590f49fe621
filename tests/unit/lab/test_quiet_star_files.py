"""A Quiet-STaR on disk: what is loaded thinks as what was saved, and a stock model is never taken for one."""

import json
from pathlib import Path

import pytest
import tiny_llama

from poise.errors import ConfigError, ModelError
from poise.lab.recipe import read_recipe
from poise.models.adapter import read_adapter
from poise.models.catalogue import DEFAULT
from poise.models.dense import load_dense
from poise.models.merge import words_hash

torch = pytest.importorskip("torch")
peft = pytest.importorskip("peft")
from poise.lab.export import export  # noqa: E402 - made of torch
from poise.models.quiet_star.config import Bound, QuietStarConfig  # noqa: E402
from poise.models.quiet_star.files import (  # noqa: E402
    NUMBERS,
    SETTINGS,
    SHIPPED,
    folder_of,
    load_quiet_star,
    read_config,
    save_numbers,
)
from poise.models.quiet_star.model import QuietStar  # noqa: E402
from poise.models.quiet_star.thoughts import parallel  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing. is deprecated:FutureWarning")
TARGETS = [place.split(".")[1] for place in tiny_llama.LINEARS]
IDS = torch.arange(12).reshape(2, 6) * 7 % len(tiny_llama.WORDS)
CONFIG = QuietStarConfig(n_ahead=5, n_ahead_talk=2, initial_start_token="a", bound=Bound.TANH, initial_end_token="b")


def spread(module, std):
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter, std=std)


@pytest.fixture
def base(tmp_path, monkeypatch):
    monkeypatch.setenv("POISE_CACHE", str(tmp_path / "cache"))
    return tiny_llama.write_base(tmp_path / "base.gguf", kind="BF16")


@pytest.fixture
def saved(base, tmp_path):
    """A model that was trained, as it were, and its folder."""
    torch.manual_seed(1)
    loaded = load_dense(str(base), dtype="float32")
    config = peft.LoraConfig(r=4, lora_alpha=8, target_modules=TARGETS, task_type="CAUSAL_LM")
    model = QuietStar(peft.get_peft_model(loaded.model, config), loaded.tokenizer, CONFIG)
    for name, parameter in model.model.named_parameters():
        if "lora_" in name:
            parameter.data = torch.randn_like(parameter).mul(0.2).bfloat16().float()
    spread(model.mixer, 0.3)
    for parameter in model.mixer.parameters():
        parameter.data = parameter.data.bfloat16().float()
    model.start.data, model.end.data = (part.data.bfloat16().float() for part in (model.start, model.end))
    folder = tmp_path / "quiet"
    export(model.model, folder, base)
    save_numbers(model, folder)
    return model, folder


def thoughts(model):
    numbers = torch.rand(2, 6, CONFIG.thought_tokens, generator=torch.Generator().manual_seed(3)).double()
    with torch.no_grad():
        return parallel(model, IDS, numbers)


def test_it_thinks_as_it_did(saved, base):
    model, folder = saved
    loaded, dense = load_quiet_star(folder, str(base), "float32")
    assert loaded.config == CONFIG
    assert not any(parameter.requires_grad for parameter in loaded.parameters())
    before, after = thoughts(model), thoughts(loaded)
    assert torch.equal(before.tokens, after.tokens)
    torch.testing.assert_close(after.mixed, before.mixed, atol=2e-2, rtol=2e-2)
    assert before.weights.abs().mean() > 0.1
    assert dense.model is loaded.model


def test_the_base_stays_as_it_is_and_the_files_are_small(saved, base):
    folder = saved[1]
    assert {path.name for path in folder.iterdir()} == {
        *("adapter_config.json", "adapter_model.safetensors", "poise.json", NUMBERS, SETTINGS)
    }
    width = saved[0].start.numel()
    assert (folder / NUMBERS).stat().st_size < 2 * (3 * width**2 + 5 * width) + 2000


def test_a_stock_model_is_refused(saved, base, tmp_path):
    folder = saved[1]
    (folder / SETTINGS).unlink()
    with pytest.raises(ConfigError, match=r"quiet_star\.json"):
        load_quiet_star(folder, str(base))


def test_another_base_is_refused(saved, tmp_path):
    other = tiny_llama.write_base(tmp_path / "other.gguf", kind="BF16")
    retold(saved[1], vocabulary=len(tiny_llama.WORDS) + 1)
    with pytest.raises(ConfigError, match="the base of this checkpoint"):
        load_quiet_star(saved[1], str(other))


def test_a_base_of_the_same_shape_is_told_by_its_hash(saved, base, tmp_path):
    other = tiny_llama.write_base(tmp_path / "other.gguf", seed=9, kind="BF16")
    with pytest.raises(ConfigError, match=r"other\.gguf.*SHA-256.*trained for, base\.gguf"):
        load_quiet_star(saved[1], str(other))
    copy = tmp_path / "copy.gguf"
    copy.write_bytes(base.read_bytes())
    assert load_quiet_star(saved[1], str(copy))[0].config == CONFIG
    with pytest.raises(ConfigError, match=r"base of this checkpoint, base\.gguf"):
        load_quiet_star(saved[1], str(tmp_path))  # a folder, which has no hash


def retold(folder, **changes):
    """What the adapter in a folder says of its base, changed."""
    said = json.loads((folder / "poise.json").read_text())
    said["base"] |= {"sha256": ""} | changes
    (folder / "poise.json").write_text(json.dumps(said))


def test_a_repository_of_another_name_is_refused_before_it_is_loaded(saved, monkeypatch):
    monkeypatch.setattr("poise.models.quiet_star.files.load_dense", lambda *words: pytest.fail("loaded"))
    retold(saved[1], name="org/base")
    with pytest.raises(ConfigError, match=r"org/other.*org/base"):
        load_quiet_star(saved[1], "org/other")


def test_a_base_without_a_hash_is_told_by_its_words(saved, base, monkeypatch):
    monkeypatch.chdir(base.parent)  # messages cut long paths
    words = load_dense(str(base)).tokenizer.convert_ids_to_tokens(list(range(50)))
    retold(saved[1], words=50, words_sha256=words_hash(words))
    assert load_quiet_star(saved[1], base.name)[0].config == CONFIG
    retold(saved[1], words=50, words_sha256=words_hash(words[::-1]))
    with pytest.raises(ConfigError, match=r"base\.gguf.*the base of this checkpoint"):
        load_quiet_star(saved[1], base.name)


@pytest.mark.parametrize("harm", [lambda p: p.write_bytes(p.read_bytes()[:40]), lambda p: p.unlink()])
def test_torn_numbers_are_a_clean_error(saved, base, harm):
    harm(Path(saved[1] / NUMBERS))
    with pytest.raises(ModelError):
        load_quiet_star(saved[1], str(base))


def test_numbers_that_are_none_are_not_written(saved, tmp_path):
    model, _ = saved
    model.end.data[0] = float("nan")
    with pytest.raises(ModelError, match="not finite"):
        save_numbers(model, tmp_path / "broken")
    assert not (tmp_path / "broken").exists()


def test_the_one_that_ships_is_whole_small_and_on_the_default_model():
    folder = folder_of("")
    assert folder == folder_of("default") == SHIPPED
    assert sum(file.stat().st_size for file in folder.iterdir()) <= 12e6
    assert read_adapter(folder).base.name == DEFAULT
    recipe = read_recipe("quiet-star")
    assert read_config(folder) == recipe.quiet_star.config
    assert (recipe.model, read_adapter(folder).name) == (DEFAULT, folder.name)
