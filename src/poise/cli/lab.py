"""`poise lab`: train what ships with Poise, or the same for other models and tasks. Needs the torch extra."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from poise.cli.lab_prefixes import prefixes
from poise.cli.lab_rollouts import rollouts
from poise.cli.lab_verifier import verifier

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import Console

    from poise.lab.recipe import Recipe
    from poise.lab.session import Session
    from poise.lab.train import Progress

UNFINISHED = 3
QUIET_STAR = "quiet-star"

app = typer.Typer(help="Train reasoning adapters and verifiers, and record pools of draws.", no_args_is_help=True)


def train(
    context: typer.Context,
    recipe: Annotated[
        str, typer.Option(help="A shipped recipe (see: poise lab recipes), or a TOML file. [quick, quiet-star-quick]")
    ] = "",
    run: Annotated[
        Path | None,
        typer.Option(help="The training's folder; an unfinished training there is gone on with. [runs/lab-RECIPE]"),
    ] = None,
    minutes: Annotated[float | None, typer.Option(help="Stop after so long, at the end of a step.")] = None,
    data: Annotated[
        list[str] | None, typer.Option(help="A file to read instead of the hub: TASK=PATH, such as gsm8k=train.jsonl.")
    ] = None,
    threads: Annotated[int | None, typer.Option(help="CPU threads. [all cores]")] = None,
    knob: Annotated[
        list[str] | None,
        typer.Option(
            help="A setting of the recipe, set anew: NAME=VALUE, such as tokens=3000000, quiet_star.n_ahead=9."
        ),
    ] = None,
) -> None:
    """Train a LoRA adapter by a recipe, on a laptop and in sittings; under quiet-star, with thoughts.

    Example:

    poise lab train --recipe word-problems --minutes 75

    Ctrl-C, SIGTERM and the end of --minutes save; the same command goes on from there, and one with more tokens from
    where the learning rate had not begun to fall. A finished training leaves its adapter in RUN/adapter.

    Exit codes: 0 the recipe's tokens are done; 3 saved, but not finished yet; 130 interrupted, and saved.
    """
    from rich.console import Console

    from poise.lab.session import require_torch

    thoughts = context.parent is not None and context.parent.info_name == QUIET_STAR
    recipe = recipe or (f"{QUIET_STAR}-quick" if thoughts else "quick")
    chosen = _recipe(recipe, knob or [])
    _check_kind(chosen, recipe, thoughts=thoughts)
    places = _places(data or [])
    _check(minutes, threads)
    require_torch()
    folder = run or Path("runs") / f"lab-{Path(recipe).stem}"
    console = Console(stderr=True)
    with _prepared(chosen, folder, places, threads, console) as session:
        _sit(session, folder, minutes, console)


def recipes() -> None:
    """List the recipes that ship with Poise."""
    from rich.console import Console
    from rich.table import Table

    from poise.lab.recipe import names, read_recipe

    table = Table("name", "model", "tokens", "rank", "tasks", box=None)
    for name in names():
        shipped = read_recipe(name)
        tasks = dict.fromkeys(source.task.partition(":")[0] for source in shipped.sources)
        table.add_row(name, shipped.model, f"{shipped.tokens:,}", str(shipped.rank), ", ".join(tasks))
    Console().print(table)


for command in (train, recipes, rollouts, verifier, prefixes):
    app.command()(command)
quiet_star = typer.Typer(help="Models that think before their tokens (Quiet-STaR).", no_args_is_help=True)
quiet_star.command()(train)
quiet_star.callback()(lambda: None)
app.add_typer(quiet_star, name=QUIET_STAR)


def _check_kind(recipe: Recipe, name: str, *, thoughts: bool) -> None:
    from poise.errors import ConfigError

    if thoughts and recipe.quiet_star is None:
        raise ConfigError("recipe", name, "one with a [quiet_star] table, such as quiet-star-quick")


def _recipe(name: str, knobs: list[str]) -> Recipe:
    from poise.knobs import pairs
    from poise.lab.recipe import read_recipe, with_knobs

    values: dict[str, object] = {}
    for text in knobs:
        values |= pairs(text, "knob")
    return with_knobs(read_recipe(name), values)


def _places(data: list[str]) -> dict[str, str]:
    from poise.errors import ConfigError, DataError

    places = {}
    for text in data:
        task, equals, path = text.partition("=")
        if not (task and equals and path):
            raise ConfigError("data", text, "TASK=PATH, such as gsm8k=train.jsonl")
        if not Path(path).expanduser().is_file():
            raise DataError(path, 0, "no such file", "a JSONL file")
        places[task] = str(Path(path).expanduser())
    return places


def _check(minutes: float | None, threads: int | None) -> None:
    from poise.errors import ConfigError

    if minutes is not None and not minutes > 0:
        raise ConfigError("minutes", minutes, "above 0")
    if threads is not None and threads < 1:
        raise ConfigError("threads", threads, "1 or more")


def _prepared(
    recipe: Recipe, folder: Path, places: Mapping[str, str], threads: int | None, console: Console
) -> Session:
    import torch

    from poise.cli.models import fetched
    from poise.lab.session import prepared
    from poise.models.catalogue import CATALOGUE

    if threads:
        torch.set_num_threads(threads)
    if recipe.model == "default" or recipe.model in CATALOGUE:
        fetched(recipe.model)
    with console.status("") as status:
        return prepared(recipe, folder, places, lambda text: status.update(f"{text} ..."))


def _sit(session: Session, folder: Path, minutes: float | None, console: Console) -> None:
    """Train for one sitting, tell where it stands, and exit accordingly."""
    from poise.lab.progress_bar import TrainingBar

    training = session.training
    if training.step:
        typer.echo(f"going on after step {training.step}, {training.tokens:,} tokens", err=True)
    try:
        with TrainingBar(training.tokens, console) as bar, _stoppable(bar) as watch:
            finished = session.train(minutes, watch)
    except KeyboardInterrupt:
        _tell_unfinished(session, folder)
        raise typer.Exit(130) from None
    if not finished:
        _tell_unfinished(session, folder)
        raise typer.Exit(UNFINISHED)
    with console.status("saving the adapter ..."):
        adapter = session.export()
    losses = ", ".join(f"{name} {loss:.3f}" for name, loss in training.validation.items())
    typer.echo(f"{training.tokens:,} tokens in {training.seconds / 60:.0f} minutes; validation losses: {losses or '-'}")
    typer.echo(f"adapter: {adapter.folder}   curves: {folder / 'curve.jsonl'}, and tensorboard --logdir {folder}")


def _tell_unfinished(session: Session, folder: Path) -> None:
    training = session.training
    done = f"{training.tokens:,} of {training.recipe.tokens:,} tokens are done"
    typer.secho(f"not finished: {done} and saved in {folder}; the same command goes on from there", err=True)


@contextmanager
def _stoppable(watch: Callable[[Progress], None]) -> Iterator[Callable[[Progress], None]]:
    """The first Ctrl-C or SIGTERM lets the step in hand end, and then interrupts; a second one interrupts at once."""
    asked = False

    def ask(number: int, frame: object) -> None:
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True
        typer.echo("stopping after this step (again: at once)", err=True)

    def watched(progress: Progress) -> None:
        watch(progress)
        if asked:
            raise KeyboardInterrupt

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield watched
    finally:
        for number, was in before.items():
            signal.signal(number, was)
