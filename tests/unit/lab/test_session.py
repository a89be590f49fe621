"""From a recipe to an adapter on disk, with a tiny model that lies in a folder."""

import contextlib
import importlib.util
import json
from dataclasses import replace

import pytest
import tiny

from poise.core import Message, Role, Sampling, Thinking, ThinkingMode
from poise.errors import ConfigError, DataError, ModelError, StoreError, UnknownName
from poise.lab.data import Example
from poise.lab.quiet_star.settings import QuietStarSettings
from poise.lab.recipe import Source
from poise.lab.session import by_loss, prepared
from poise.lab.training_run import TrainingRun

pytestmark = pytest.mark.usefixtures("uncompiled")
SUMS = Source("chain_sum:min_terms=2,max_terms=2", 20, validation=4)


@pytest.fixture
def recipe(tmp_path):
    model = str(tiny.saved(tmp_path / "model"))
    return tiny.recipe(model=model, sources=(SUMS,), tokens=2000, batch_tokens=400, longest=200)


def test_a_session_trains_and_exports(recipe, tmp_path):
    said, told = [], []
    with prepared(recipe, tmp_path / "run", {}, said.append) as session:
        assert len(session.rows) == 20
        assert set(session.held_out) == {"chain_sum"}
        assert session.train(watch=told.append)
        adapter = session.export()
    assert said == ["making examples", "loading the model", "tokenising the examples", "adding the adapter"]
    assert told[-1].validation["chain_sum"] > 0
    assert adapter.folder == tmp_path / "run" / "adapter"
    config = json.loads((adapter.folder / "adapter_config.json").read_text())
    assert (config["r"], config["peft_type"]) == (4, "LORA")


def test_the_exported_adapter_is_the_trained_one(recipe, tmp_path):
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    with prepared(recipe, tmp_path / "run", {}) as session:
        session.train()
        folder = session.export().folder
        tokens = torch.tensor([session.rows[0].tokens])
        with torch.no_grad():
            wanted = session.training.adapted(tokens).logits
    with pytest.warns(FutureWarning, match="is_gradient_checkpointing"):
        read = PeftModel.from_pretrained(
            AutoModelForCausalLM.from_pretrained(recipe.model, dtype=torch.bfloat16), str(folder)
        )
    with torch.no_grad():
        assert (read(tokens).logits - wanted).abs().mean() < 0.02  # bfloat16
        with read.disable_adapter():
            assert (read(tokens).logits - wanted).abs().mean() > 0.1


@pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing. is deprecated:FutureWarning")
async def test_a_session_of_thoughts_ends_in_a_checkpoint_that_draws(recipe, tmp_path):
    """Trained, exported with a gate, loaded, and asked, at every token and where the gate opens."""
    from poise.engines.quiet_star_lm import QuietStarLM
    from poise.models.quiet_star.files import load_quiet_star

    thoughts = QuietStarSettings(n_ahead=4, n_ahead_talk=2, places=8, head_learning_rate=2e-2)
    with prepared(replace(recipe, quiet_star=thoughts, tokens=1000), tmp_path / "run", {}) as session:
        assert session.train()
        folder, trained = session.export().folder, session.training.objective.model
    loaded, base = load_quiet_star(folder, recipe.model)
    assert (loaded.config, base.name) == (thoughts.config, recipe.model)
    assert loaded.gate == trained.gate
    assert trained.gate is not None
    assert loaded.start.sub(trained.start).abs().max() < trained.start.abs().max() / 128  # kept in bfloat16
    assert loaded.mixer.last.weight.abs().max() > 0
    async with contextlib.aclosing(QuietStarLM(str(folder), base=recipe.model, context=128, slots=2)) as engine:
        for way in (Thinking(ThinkingMode.EXACT), Thinking(ThinkingMode.GATED, 0.5)):
            sampling = Sampling(max_tokens=24, seed=1, thinking=way)
            deltas = [delta async for delta in engine.stream((Message(Role.USER, "3 + 4"),), sampling)]
            new, thought = (sum(getattr(delta, of) for delta in deltas) for of in ("tokens", "thought_tokens"))
            assert "".join(delta.text for delta in deltas)
            assert (thought == 3 * new) if way.mode is ThinkingMode.EXACT else (0 < thought < 3 * new)


def test_what_fails_frees_the_folder(recipe, tmp_path):
    with pytest.raises(UnknownName, match="data"):
        prepared(recipe, tmp_path / "run", {"gsm8k": "x"})
    with prepared(recipe, tmp_path / "run", {}), pytest.raises(StoreError, match="in use"):
        TrainingRun(tmp_path / "run", recipe)
    TrainingRun(tmp_path / "run", recipe).close()


def test_a_folder_that_cannot_be_made_is_named(recipe, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="a folder that can be written"):
        prepared(recipe, tmp_path / "file" / "run", {})


def test_without_the_torch_extra_the_line_that_installs_it_is_told(recipe, tmp_path, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "peft" else find(name))
    with pytest.raises(ConfigError, match=r'peft is not installed.*pip install "poise\[torch\]"'):
        prepared(recipe, tmp_path / "run", {})
    assert not (tmp_path / "run").exists()


def test_a_tokenizer_of_another_model_is_refused(recipe, tmp_path):
    tiny.saved(tmp_path / "model", words=200)
    with pytest.raises(ModelError, match="its tokenizer has 258 tokens, its weights 200"):
        prepared(recipe, tmp_path / "run", {})


def test_a_model_that_is_not_there_is_named(recipe, tmp_path):
    (tmp_path / "model" / "model.safetensors").unlink()
    with pytest.raises(ModelError, match="cannot be loaded"):
        prepared(recipe, tmp_path / "run", {})


def test_a_file_that_is_not_there_is_named(recipe, tmp_path):
    asked = replace(recipe, sources=(Source("gsm8k:split=train", 3),))
    with pytest.raises(DataError):
        prepared(asked, tmp_path / "run", {"gsm8k": str(tmp_path / "none.jsonl")})


def test_sources_that_are_held_out_whole_have_losses_of_their_own():
    sources = [
        Source("gsm_symbolic:templates=0-84", 5, validation=1),
        Source("gsm_symbolic:templates=85-99", 0, validation=1),
        Source("chain_sum", 5, validation=1),
        Source("gcd", 0, validation=1),
    ]
    found = [Example((Message(Role.USER, "?"),), "1", "?", "c", source.task) for source in sources]
    groups = by_loss(tiny.recipe(sources=tuple(sources)), found)
    assert list(groups) == ["gsm_symbolic", "gsm_symbolic new templates", "chain_sum", "gcd held out"]
    assert all(len(group) == 1 for group in groups.values())
