"""`poise lab verifier`: a verifier, a probe or a difficulty probe from recorded draws."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import Console

    from poise.lab.heads import Fit
    from poise.lab.pool import Pool
    from poise.models.head import HeadCard
    from poise.models.reader import Reader


def verifier(
    pool: Annotated[Path, typer.Argument(help="Draws to learn from: a folder of poise lab rollouts.")],
    test: Annotated[Path, typer.Option(help="Draws of other questions, to measure on.")],
    out: Annotated[Path, typer.Option(help="Where the head goes.")],
    kind: Annotated[str, typer.Option(help="verifier, probe (fewer layers, linear) or difficulty.")] = "verifier",
    model: Annotated[str, typer.Option(help="The policy. [the pool's model]")] = "",
    layers: Annotated[str, typer.Option(help="Layers to read after, such as 15,30, or none. [by kind]")] = "",
    hidden: Annotated[int, typer.Option(help="Width of the middle layer; 0: linear.", min=0)] = 0,
    surprise: Annotated[
        bool | None, typer.Option(help="Read how unlikely the policy finds each token; runs all its layers. [by kind]")
    ] = None,
    ranking: Annotated[
        float, typer.Option(help="Weight of the order of a question's right and wrong draws in the fit.", min=0)
    ] = 0.0,
    n: Annotated[int, typer.Option(help="Draws per question that best of n and the weighted vote choose from.")] = 8,
    seed: Annotated[int, typer.Option(help="Of the split and the fit.")] = 0,
) -> None:
    """Train a scorer on the outcomes of a policy's own draws, and measure it on questions it never saw.

    Example:

    poise lab rollouts --task gsm_symbolic --limit 500 --draws 8 --seed 1 --out pools/train

    poise lab rollouts --task gsm_symbolic --limit 500 --draws 8 --seed 2 --out pools/test

    poise lab verifier pools/train --test pools/test --out heads/verifier
    """
    from rich.console import Console

    from poise.errors import ConfigError, UnknownName
    from poise.lab.pool import read_pool, without
    from poise.lab.session import require_torch

    if kind not in ("verifier", "probe", "difficulty"):
        raise UnknownName("kind", kind, ("verifier", "probe", "difficulty"))
    if kind == "difficulty" and surprise:
        raise ConfigError("surprise", surprise, "nothing for a difficulty probe, which reads questions alone")
    require_torch()
    from poise.lab.heads import Fit
    from poise.models.head import HeadCard
    from poise.models.reader import load_reader

    training, held = read_pool(pool), read_pool(test)
    kept = without(training, held)
    if leaked := len(training.items) - len(kept.items):
        typer.echo(f"{leaked} questions of {pool} are in {test} too: not learnt from", err=True)
    if not kept.items:
        raise ConfigError("test", str(test), f"questions that {pool} does not hold")
    console, policy = Console(stderr=True), model or training.card.name
    with console.status("loading the model ..."):
        reader = load_reader(policy)
    chosen = _layers(layers, kind, reader)
    seen = surprise if surprise is not None else kind == "verifier"
    if not (chosen or seen):
        raise ConfigError("layers", layers, "at least one, or --surprise")
    card = HeadCard(kind, policy, chosen, pooled=kind != "difficulty" and bool(chosen), surprise=seen)
    order = _Order(card, Fit(hidden, ranking), kept, held, seed, n, out)
    (_difficulty if kind == "difficulty" else _verifier)(order, reader, console)


def _layers(text: str, kind: str, reader: Reader) -> tuple[int, ...]:
    from poise.errors import ConfigError

    deepest = len(reader.llama.layers)
    default = {"verifier": (), "probe": (deepest // 2,), "difficulty": (deepest * 2 // 3,)}
    if text == "none":
        return ()
    try:
        chosen = tuple(sorted({int(part) for part in text.split(",")})) if text else default[kind]
    except ValueError:
        chosen = (0,)
    if not all(1 <= layer <= deepest for layer in chosen):
        raise ConfigError("layers", text, f"numbers from 1 to {deepest}, separated by commas, or none")
    return chosen


@dataclass(frozen=True, slots=True)
class _Order:
    """What is to be trained, how, on which draws, measured on which, and where it goes."""

    card: HeadCard
    how: Fit
    training: Pool
    held: Pool
    seed: int
    n: int
    out: Path


def _verifier(order: _Order, reader: Reader, console: Console) -> None:
    from poise.lab import verifier as lab
    from poise.lab.readout import read_out

    card, training, held = order.card, order.training, order.held
    with bar("reading draws", len(training.items), console) as watch:
        places = read_out(reader, training.items, card, watch)
    with console.status("fitting ..."):
        head = lab.train_head(order.how, places, card, order.seed)
    with bar("reading test draws", len(held.items), console) as watch:
        tested = read_out(reader, held.items, card, watch)
    measured = lab.measured(head, tested, held, order.seed)
    depth = card.depth(len(reader.llama.layers))
    lab.save(head, [("held-out questions", measured)], order.out)
    typer.echo(f"{card.kind}: {measured.text()}")
    typer.echo(f"reads {depth} of {len(reader.llama.layers)} layers; {head.parameters:,} weights of its own")
    for choice in lab.choices(held, lab.scores_of(head, tested, held), order.n):
        typer.echo(choice.text())
    typer.echo(f"head: {order.out}")


def _difficulty(order: _Order, reader: Reader, console: Console) -> None:
    from poise.lab import difficulty as lab
    from poise.lab.verifier import train_head
    from poise.models.head import save_head, with_figures

    with bar("reading questions", len(order.training.items), console) as watch:
        places = lab.read_questions(reader, order.training.items, order.card.layers, watch)
    with console.status("fitting ..."):
        head = train_head(order.how, places, order.card, order.seed)
    foreseen = lab.measure_difficulty(head, reader, order.held)
    save_head(with_figures(head, [("held-out questions", foreseen.text())]), order.out)
    typer.echo(f"difficulty: {foreseen.text()}")
    typer.echo(f"head: {order.out}")


@contextmanager
def bar(what: str, total: int, console: Console) -> Iterator[Callable[[int], None]]:
    """A bar that is told how many are done, and goes when they are."""
    from rich.progress import Progress

    with Progress(console=console, transient=True) as progress:
        task = progress.add_task(what, total=total)
        yield lambda done: progress.update(task, completed=done)
