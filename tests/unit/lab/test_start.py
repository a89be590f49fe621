"""A training that begins with an adapter trained before."""

import dataclasses

import pytest
import tiny
import torch
from peft import get_peft_model_state_dict

from poise.errors import ConfigError
from poise.lab import train as lab
from poise.lab.export import export
from poise.lab.start import start_folder
from poise.models.adapter import read_adapter
from poise.models.quiet_star.files import is_quiet_star

pytestmark = pytest.mark.usefixtures("uncompiled")


@pytest.fixture
def before(tmp_path):
    """An adapter of another training, as it is exported."""
    base = tiny.saved(tmp_path / "base")
    wrapped = lab.adapted(tiny.model(), tiny.recipe())
    for name, values in wrapped.named_parameters():
        if "lora_" in name:
            torch.nn.init.normal_(values, generator=torch.Generator().manual_seed(len(name)))
    export(wrapped, tmp_path / "adapter", base, tiny.tokenizer())
    return tmp_path / "adapter", get_peft_model_state_dict(wrapped)


def test_the_numbers_are_those_of_the_adapter(before):
    folder, state = before
    fresh = lab.adapted(tiny.model(), tiny.recipe())
    started = lab.adapted(tiny.model(), tiny.recipe(start=str(folder)))
    for key, values in get_peft_model_state_dict(started).items():
        assert torch.equal(values, state[key].bfloat16().float()), key
    assert not torch.equal(next(iter(get_peft_model_state_dict(fresh).values())), next(iter(state.values())))


@pytest.mark.parametrize(
    ("changed", "field"),
    [({"rank": 8}, "start.rank"), ({"alpha": 3.0}, "start.alpha"), ({"targets": ("q_proj",)}, "start")],
)
def test_an_adapter_of_another_shape_is_refused(before, changed, field):
    recipe = dataclasses.replace(tiny.recipe(start=str(before[0])), **changed)
    with pytest.raises(ConfigError) as caught:
        lab.adapted(tiny.model(), recipe)
    assert caught.value.field == field


def test_an_adapter_for_another_base_is_refused(before):
    """The one that ships was made for SmolLM2, whose layers are larger."""
    recipe = tiny.recipe(start="smollm2-135m-word-problems", rank=16, alpha=32.0)
    with pytest.raises(ConfigError, match="start"):
        lab.adapted(tiny.model(), recipe)


def test_what_ships_is_found_by_its_name():
    assert is_quiet_star(start_folder("quiet-star"))
    assert read_adapter(start_folder("smollm2-135m-word-problems")).rank == 16
    assert start_folder("runs/mine").as_posix() == "runs/mine"


def test_a_folder_without_one_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="adapter"):
        lab.adapted(tiny.model(), tiny.recipe(start=str(tmp_path)))
