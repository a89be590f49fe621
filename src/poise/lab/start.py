"""Where a training starts: from an adapter that was trained before."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from poise.errors import ConfigError
from poise.lab.recipe import Recipe
from poise.models.adapter import Adapter, read_adapter
from poise.models.catalogue import CATALOGUE, AdaptedModel
from poise.models.quiet_star.files import folder_of


def start_from(wrapped: Any, recipe: Recipe) -> None:
    """Put the numbers of `recipe.start` into a peft model's fresh adapter. Raises ConfigError for an adapter of another
    rank, alpha, base or set of layers, and what `read_adapter` raises."""
    from peft import get_peft_model_state_dict, set_peft_model_state_dict
    from safetensors.torch import load_file

    adapter = read_adapter(start_folder(recipe.start))
    _check(adapter, recipe)
    state = load_file(adapter.weights.path)
    wanted = {key: value.shape for key, value in get_peft_model_state_dict(wrapped).items()}
    if {key: value.shape for key, value in state.items()} != wanted:
        raise ConfigError("start", recipe.start, f"an adapter of {', '.join(recipe.targets)} of {recipe.model}")
    set_peft_model_state_dict(wrapped, state)


def start_folder(name: str) -> Path:
    """The folder that a start means: of a model, or of thoughts, that ship with Poise by their name, else a path."""
    known = CATALOGUE.get(name)
    return known.folder if isinstance(known, AdaptedModel) else folder_of(name)


def _check(adapter: Adapter, recipe: Recipe) -> None:
    for name, mine in (("rank", recipe.rank), ("alpha", recipe.alpha)):
        if (theirs := getattr(adapter, name)) != mine:
            raise ConfigError(f"start.{name}", theirs, f"the recipe's, {mine}")
    if recipe.model in CATALOGUE and adapter.base.name in CATALOGUE and adapter.base.name != recipe.model:
        raise ConfigError("start", recipe.start, f"an adapter for {recipe.model}; this one is for {adapter.base}")
