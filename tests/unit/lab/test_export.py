"""From a peft model to an adapter's folder and to a GGUF file that computes the same."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import tiny_llama

from poise.errors import ConfigError, StoreError, TrainingError
from poise.models import find, merge
from poise.models.adapter import read_adapter
from poise.models.catalogue import AdaptedModel, KnownModel
from poise.models.dense import load_dense
from poise.models.verify import cache_folder

torch = pytest.importorskip("torch")
peft = pytest.importorskip("peft")
import poise.lab.export as exporting  # noqa: E402 - it is made of torch

export, export_gguf = exporting.export, exporting.export_gguf

# peft asks transformers for a name that is on its way out.
pytestmark = pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing. is deprecated:FutureWarning")

TARGETS = [place.split(".")[1] for place in tiny_llama.LINEARS]
TOKENS = torch.arange(40).reshape(2, 20) * 7 % len(tiny_llama.WORDS)


@pytest.fixture
def base(tmp_path, monkeypatch):
    monkeypatch.setenv("POISE_CACHE", str(tmp_path / "cache"))
    return tiny_llama.write_base(tmp_path / "base.gguf", kind="BF16")


@pytest.fixture
def adapted(base):
    return with_adapter(base)


def with_adapter(base, **settings):
    """A peft model of the base, as a training would leave it: with a second half that is no longer zero."""
    config = peft.LoraConfig(r=4, lora_alpha=8, target_modules=TARGETS, task_type="CAUSAL_LM", **settings)
    torch.manual_seed(1)
    model = peft.get_peft_model(load_dense(str(base), dtype="float32").model, config)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.3)
    return model


def logits(model):
    with torch.inference_mode():
        return model(input_ids=TOKENS).logits.float().numpy()


def distance(found, wanted):
    """Root mean square difference, in standard deviations of `wanted`."""
    return np.sqrt(np.mean((found - wanted) ** 2)) / wanted.std()


@pytest.mark.parametrize(("kind", "error"), [("F32", 0.03), ("BF16", 0.03), ("Q8_0", 0.06)])
def test_the_merged_file_computes_what_the_peft_model_does(base, adapted, tmp_path, kind, error):
    """The dense twin is bfloat16, so the logits agree to its 8 bits; the base alone, or query and key rows in the wrong
    order, are far off."""
    export(adapted, tmp_path / "adapter", base)
    merged = export_gguf(tmp_path / "adapter", base, tmp_path / "merged.gguf", kind)
    wanted = logits(adapted)
    assert distance(logits(load_dense(str(merged), dtype="float32").model), wanted) < error
    with adapted.disable_adapter():
        assert distance(logits(adapted), wanted) > 0.5


def test_the_folder_is_pefts_and_in_bfloat16(base, adapted, tmp_path):
    adapter = export(adapted, tmp_path / "adapter", base)
    own = {"adapter_config.json", "adapter_model.safetensors", "poise.json"}
    assert {path.name for path in (tmp_path / "adapter").iterdir()} == own
    assert len({path.stat().st_mode for path in (tmp_path / "adapter").iterdir()}) == 1  # read by the same people
    size = (tmp_path / "adapter" / "adapter_model.safetensors").stat().st_size
    assert adapter.numbers * 2 < size < adapter.numbers * 2 + 8192
    again = peft.PeftModel.from_pretrained(load_dense(str(base), dtype="float32").model, tmp_path / "adapter")
    wrote, read = (peft.get_peft_model_state_dict(model, save_embedding_layers=False) for model in (adapted, again))
    assert len(wrote) == 2 * len(adapter.pairs)
    for name, numbers in wrote.items():
        assert torch.equal(read[name], numbers.bfloat16().float())
    assert distance(logits(again), logits(adapted)) < 0.02


def test_what_it_says_of_its_base(base, adapted, tmp_path):
    adapter = export(adapted, tmp_path / "adapter", base)
    assert (adapter.name, adapter.rank, adapter.alpha) == ("adapter", 4, 8.0)
    assert export(adapted, tmp_path / "adapter", base, name="sums").name == "sums"
    said = adapter.base
    assert (said.name, said.sha256) == ("base.gguf", hashlib.sha256(base.read_bytes()).hexdigest())
    assert (said.licence, said.architecture, said.vocabulary) == ("mit", "llama", len(tiny_llama.WORDS))
    texts = [(tmp_path / "adapter" / name).read_text() for name in ("adapter_config.json", "poise.json")]
    assert not any(str(tmp_path) in text or str(Path.home()) in text for text in texts)
    assert json.loads(texts[0])["base_model_name_or_path"] == "base.gguf"


def test_a_known_base_is_called_by_its_name(base, adapted, tmp_path):
    cache_folder().mkdir(parents=True, exist_ok=True)
    (cache_folder() / "base.gguf").write_bytes(base.read_bytes())
    known = KnownModel("tiny", "p", "1", "p_p/base.gguf", 1, hashlib.sha256(base.read_bytes()).hexdigest(), "MIT")
    adapter = export(adapted, tmp_path / "adapter", known)
    assert (adapter.base.name, adapter.base.licence) == ("tiny", "MIT")
    assert export_gguf(tmp_path / "adapter", known, tmp_path / "merged.gguf").is_file()


def test_a_known_base_that_has_an_adapter_itself(base, adapted, tmp_path, monkeypatch):
    """Its merged file is the base; "default" is written by the name that it stands for today."""
    cache_folder().mkdir(parents=True, exist_ok=True)
    (cache_folder() / "base.gguf").write_bytes(base.read_bytes())
    known = KnownModel("tiny", "p", "1", "p_p/base.gguf", 1, hashlib.sha256(base.read_bytes()).hexdigest(), "MIT")
    first = export(adapted, tmp_path / "first", known).folder
    catalogue = {"tiny": known, "tiny-first": AdaptedModel("tiny-first", known, first, 1, "MIT")}
    for module in (find, exporting, merge):
        monkeypatch.setattr(module, "CATALOGUE", catalogue)
    for module in (find, exporting):
        monkeypatch.setattr(module, "DEFAULT", "tiny-first")
    adapter = export(adapted, tmp_path / "second", "default")
    assert adapter.base.name == merge.base_name(adapter.folder) == "tiny-first"
    assert export_gguf(adapter.folder, "tiny-first", tmp_path / "merged.gguf").is_file()
    with pytest.raises(ConfigError, match="trained for, tiny-first"):
        export_gguf(adapter.folder, "tiny", tmp_path / "merged.gguf")


def test_a_dense_base_is_known_by_its_vocabulary(base, adapted, tmp_path):
    """An adapter of a folder of Hugging Face files goes into a GGUF file with the same words, and into no other."""
    dense = load_dense(str(base))
    (tmp_path / "dense").mkdir()
    adapter = export(adapted, tmp_path / "adapter", tmp_path / "dense", dense.tokenizer)
    assert (adapter.base.name, adapter.base.sha256, adapter.base.words) == ("dense", "", len(tiny_llama.WORDS))
    assert export_gguf(tmp_path / "adapter", base, tmp_path / "merged.gguf", "F16").is_file()
    words = [*tiny_llama.WORDS[:5], "<other>", *tiny_llama.WORDS[6:]]
    other = tiny_llama.write_base(tmp_path / "other.gguf", words=words)
    with pytest.raises(ConfigError, match="another vocabulary"):
        export_gguf(tmp_path / "adapter", other, tmp_path / "merged.gguf")


def test_a_hub_repository_is_called_by_its_name(adapted, tmp_path):
    assert export(adapted, tmp_path / "adapter", "org/Tiny").base.name == "org/Tiny"


def test_exporting_again_replaces_the_adapter_and_leaves_the_rest(base, adapted, tmp_path):
    first = export(adapted, tmp_path / "adapter", base)
    (tmp_path / "adapter" / "README.md").write_text("a card")
    config = (tmp_path / "adapter" / "adapter_config.json").read_bytes()
    torch.nn.init.normal_(next(p for n, p in adapted.named_parameters() if "lora_B" in n))
    assert export(adapted, tmp_path / "adapter", base).sha256 != first.sha256
    assert (tmp_path / "adapter" / "adapter_config.json").read_bytes() == config
    assert (tmp_path / "adapter" / "README.md").read_text() == "a card"


def test_another_base_and_numbers_that_are_none_leave_what_was_there(base, adapted, tmp_path):
    before = export(adapted, tmp_path / "adapter", base)
    other = tiny_llama.write_base(tmp_path / "other.gguf", words=[*tiny_llama.WORDS, "<more>"])
    with pytest.raises(ConfigError, match="words"):
        export(adapted, tmp_path / "adapter", other)
    next(p for n, p in adapted.named_parameters() if "lora_A" in n).data[0, 0] = torch.nan
    with pytest.raises(TrainingError, match="not finite"):
        export(adapted, tmp_path / "adapter", base)
    assert read_adapter(tmp_path / "adapter").sha256 == before.sha256
    assert not list((tmp_path / "adapter").glob("writing-*"))


def test_models_without_a_lora_adapter_are_refused(base, tmp_path):
    model = load_dense(str(base)).model
    with pytest.raises(ConfigError, match="LoRA adapter of peft"):
        export(model, tmp_path / "adapter", base)
    with pytest.raises(ConfigError, match="use_dora"):
        export(with_adapter(base, use_dora=True), tmp_path / "adapter", base)


def test_a_folder_that_cannot_be_written(base, adapted, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be written"):
        export(adapted, tmp_path / "file" / "adapter", base)
