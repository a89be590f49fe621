"""A sitting of a training, from a recipe to an adapter on disk: what the command line and tests share."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from poise.lab.batches import Encoded, encoded
from poise.lab.data import Example, examples_of
from poise.lab.recipe import Recipe
from poise.lab.training_run import TrainingRun
from poise.models import extra
from poise.models.dense import DenseModel, load_dense

if TYPE_CHECKING:
    from poise.lab.train import Progress, Training
    from poise.models.adapter import Adapter

_PACKAGES = (*extra.READING, "peft")


@dataclass(frozen=True, slots=True)
class Session:
    """A training that is ready to go on: the adapted model, the rows to learn, rows to validate on by the name of
    their loss, and its folder, which is held until `close`."""

    training: Training
    base: DenseModel
    rows: Sequence[Encoded]
    held_out: Mapping[str, Sequence[Encoded]]
    run: TrainingRun

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def train(self, minutes: float | None = None, watch: Callable[[Progress], None] = lambda progress: None) -> bool:
        """Whether the recipe's tokens are done now. See `poise.lab.train.train`."""
        from poise.lab.train import train

        return train(self.training, self.rows, self.held_out, self.run, minutes, watch)

    def export(self) -> Adapter:
        """Save the adapter as it is now into the folder's `adapter`, with the numbers of thoughts if there are any. See
        `poise.lab.export.export` and `poise.models.quiet_star.files`."""
        from poise.lab.export import export
        from poise.lab.quiet_star.gating import measured_gate
        from poise.lab.quiet_star.training import Thinking
        from poise.models.quiet_star.files import save_numbers

        folder = self.run.folder / "adapter"
        made = export(self.training.adapted, folder, self.training.recipe.model, self.base.tokenizer)
        if isinstance(self.training.objective, Thinking):
            thinking = self.training.objective.model
            found = measured_gate(thinking, [row for rows in self.held_out.values() for row in rows])
            thinking.gate = found.gate if found else None
            save_numbers(thinking, folder, found.told() if found else None)
        return made

    def close(self) -> None:
        """Let others train in the folder."""
        self.run.close()


def prepared(
    recipe: Recipe, folder: Path, places: Mapping[str, str], say: Callable[[str], None] = lambda text: None
) -> Session:
    """Examples, model and adapter of a recipe, at the start of its training or where `folder` left off. `places`: files
    to read instead of the hub, by the head of a task spec. `say` is told what is being done.

    Raises ConfigError without the torch extra, for a folder of another training, or a source that cannot be read or
    gives no example; ModelError for a model that cannot be had; StoreError for a folder in use or a broken checkpoint.
    Cost: seconds to a minute; memory for the model (`load_dense`) and the optimiser's state of the adapter."""
    require_torch()
    from poise.lab import train
    from poise.lab.quiet_star import training as thoughts

    run = TrainingRun(folder, recipe)
    try:
        say("making examples")
        examples = examples_of(recipe, places)
        say("loading the model")
        base = load_dense(recipe.model)
        say("tokenising the examples")
        rows = encoded(examples.training, base.tokenizer, recipe.longest)
        groups = by_loss(recipe, examples.validation)
        held_out = {name: encoded(group, base.tokenizer, recipe.longest) for name, group in groups.items()}
        say("adding the adapter")
        if recipe.quiet_star:
            training = thoughts.begin(base.model, base.tokenizer, recipe, run)
        else:
            training = train.begin(base.model, recipe, run)
        return Session(training, base, rows, held_out, run)
    except BaseException:
        run.close()
        raise


def by_loss(recipe: Recipe, validation: Sequence[Example]) -> dict[str, list[Example]]:
    """Validation examples by the name of their loss: the task's, and apart those of sources that are held out whole."""
    learned = {source.task for source in recipe.sources if source.count}
    groups: dict[str, list[Example]] = {}
    for example in validation:
        head, _, knobs = example.task.partition(":")
        kept_back = "" if example.task in learned else " new templates" if "templates=" in knobs else " held out"
        groups.setdefault(head + kept_back, []).append(example)
    return groups


def require_torch() -> None:
    """ConfigError, with the line that installs it, where something that a training takes is missing."""
    extra.require_torch("lab", _PACKAGES)
