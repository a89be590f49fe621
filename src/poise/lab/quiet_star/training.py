"""A training of thoughts: the adapter, the embeddings and the mixing head together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from poise.errors import ConfigError
from poise.lab.batches import Encoded
from poise.lab.quiet_star.objective import Losses, Texts, quiet_star_loss, thinking_places
from poise.lab.recipe import Recipe
from poise.lab.start import start_folder
from poise.lab.train import Taken, Training, adapted, optimiser_of, restored
from poise.lab.training_run import TrainingRun
from poise.models.llama import LayerForward, compiled, view_of
from poise.models.quiet_star.files import is_quiet_star, load_numbers
from poise.models.quiet_star.model import QuietStar


class Thinking:
    """Its objective: each example a line of its own, filled up to the recipe's length so that shapes repeat."""

    packs = False

    def __init__(self, model: QuietStar, recipe: Recipe, filler: int | None = None) -> None:
        if recipe.quiet_star is None:
            raise ConfigError("recipe.quiet_star", None, "a recipe with a [quiet_star] table")
        self.model, self.recipe, self.weights, self.filler = model, recipe, recipe.quiet_star.weights, filler
        self.places, self.teaches = recipe.quiet_star.places, bool(self.weights.worked_loss_beta)
        self._fused: LayerForward | None = compiled() if view_of(model.model) else None

    def taken(self, lines: Sequence[Sequence[Encoded]], step: int) -> Taken:
        found, filled = self._losses(lines, step), sum(len(row.tokens) for line in lines for row in line)
        told = {name: getattr(found, name) for name in ("base", "mixed", "first", "reward", "helped", "weight")}
        return Taken(found.total, filled, told)

    def validated(self, lines: Sequence[Sequence[Encoded]]) -> Mapping[str, tuple[float, float]]:
        """Nats per token without thoughts, and of the next token after one."""
        if not any(lines):
            return {}
        found, count = self._losses(lines, -1), sum(len(row.tokens) - row.start for line in lines for row in line)
        return {", no thoughts": (found.base, count), ", thoughts": (found.first, count)}

    def _losses(self, lines: Sequence[Sequence[Encoded]], step: int) -> Losses:
        device = self.model.start.device
        ids, counted = (part.to(device) for part in rows_of(lines, self.recipe.longest))
        passes, config = self.model.config.n_passes, self.model.config
        dice = torch.Generator().manual_seed(self.recipe.seed * 1_000_003 + step + 1)
        at = thinking_places(counted, config.n_ahead_talk, self.places, dice)
        numbers = torch.rand(passes * len(ids), at.shape[1], config.thought_tokens, generator=dice).to(device)
        taught = taught_of(lines, config.thought_tokens).to(device) if self.teaches else None
        texts = Texts(ids, counted, at, taught)
        return quiet_star_loss(self.model, texts, numbers, self.weights, self.filler, self._fused)


def rows_of(lines: Sequence[Sequence[Encoded]], length: int) -> tuple[Tensor, Tensor]:
    """Lines of one example, or none, as token ids [lines, length] and whether each is to be predicted."""
    ids, counted = torch.zeros(len(lines), length, dtype=torch.long), torch.zeros(len(lines), length, dtype=torch.bool)
    for number, row in ((number, row) for number, line in enumerate(lines) for row in line):
        ids[number, : len(row.tokens)] = torch.tensor(row.tokens)
        counted[number, row.start : len(row.tokens)] = True
    return ids, counted


def taught_of(lines: Sequence[Sequence[Encoded]], count: int) -> Tensor:
    """The first `count` tokens of the thought that each line's example knows, [lines, count]; -1 where it knows none,
    and its last token again where it is shorter."""
    taught = torch.full((len(lines), count), -1)
    for number, row in ((number, row) for number, line in enumerate(lines) for row in line):
        if row.thought:
            known = row.thought[:count]
            taught[number] = torch.tensor([*known, *[known[-1]] * (count - len(known))])
    return taught


def begin(model: Any, tokenizer: Any, recipe: Recipe, run: TrainingRun) -> Training:
    """A training of thoughts at its start (that of `recipe.start`, which may hold thoughts already), or where its last
    checkpoint was. Raises as `poise.lab.train.begin` does, and ConfigError for a filler that is no text."""
    settings = recipe.quiet_star
    if settings is None:
        raise ConfigError("recipe.quiet_star", None, "a recipe with a [quiet_star] table")
    wrapped = adapted(model, recipe)
    thinking = QuietStar(wrapped, tokenizer, settings.config)
    if recipe.start and is_quiet_star(folder := start_folder(recipe.start)):
        load_numbers(thinking, folder)
    filler = tokenizer.encode(settings.filler, add_special_tokens=False) if settings.filler else []
    if settings.filler and not filler:
        raise ConfigError("quiet_star.filler", settings.filler, "text that the tokenizer knows")
    own = [thinking.start, thinking.end, *thinking.mixer.parameters()]
    share = settings.head_learning_rate / recipe.learning_rate
    optimiser = optimiser_of(wrapped, recipe, {"params": own, "share": share})
    objective = Thinking(thinking, recipe, filler[0] if filler else None)
    return restored(Training(recipe, wrapped, optimiser, objective), run)
