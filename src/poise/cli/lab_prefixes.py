"""`poise lab prefixes`."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from poise.cli.interrupt import resumable
from poise.cli.lab_rollouts import connected
from poise.cli.lab_verifier import bar

if TYPE_CHECKING:
    from collections.abc import Sequence

    from poise.config import EngineSpec
    from poise.lab.pool import Pool
    from poise.lab.prefixes import Label, PrefixSettings
    from poise.scoring.verifier import Verifier


def prefixes(
    pool: Annotated[Path, typer.Argument(help="Drafts to cut: a folder of poise lab rollouts.")],
    out: Annotated[Path, typer.Option(help="Folder of the continuations; unfinished ones there are gone on with.")] = (
        Path("runs/prefixes")
    ),
    head: Annotated[Path | None, typer.Option(help="A verifier or probe to check, a folder.")] = None,
    policy: Annotated[str, typer.Option(help="The model that the head reads. [the name in its card]")] = "",
    questions: Annotated[int, typer.Option(help="Questions, those with right and wrong drafts first.")] = 40,
    per_question: Annotated[int, typer.Option(help="Drafts of each that are cut.")] = 2,
    draws: Annotated[int, typer.Option(help="Continuations of each prefix.")] = 8,
    seed: Annotated[int, typer.Option(help="Of what is chosen and drawn.")] = 0,
    engine: Annotated[
        str, typer.Option(help="What goes on, by rights the model that drew the pool; as for poise lab rollouts.")
    ] = "default",
    model: Annotated[str, typer.Option(help="Model name, when --engine is a URL.")] = "",
    parallel: Annotated[int, typer.Option(help="Draws under way. [three times the engine's slots]")] = 0,
) -> None:
    """Check a verifier by Monte-Carlo: cut drafts after a line, go on from there many times, and compare what it says
    there with how often that ends right. Beside it stands the outcome of the one draft, which verifiers learn from.

    Example:

    poise lab prefixes pools/test --head heads/verifier --engine model.gguf

    Stop it at any time: the same command goes on where it stopped. OUT/labels.jsonl has a line for each prefix. Use a
    pool that the head was not trained on.
    """
    from poise.config import engine_of
    from poise.lab.pool import read_pool
    from poise.lab.prefixes import PrefixSettings, chosen

    settings = PrefixSettings(questions, per_question, draws, seed)
    scorer = _scorer(head, policy) if head else None
    found = read_pool(pool)
    labels = resumable(_record(found, settings, engine_of(engine, model), out, parallel), out)
    missing = len(chosen(found, settings)) * draws - sum(len(label.right) for label in labels)
    if missing:
        typer.echo(f"{missing} continuations are missing; the same command asks for them again")
    _report(labels, scorer, seed)
    typer.echo(f"labels: {out / 'labels.jsonl'}")


def _scorer(folder: Path, policy: str) -> Verifier:
    from poise.scoring.verifier import Verifier

    scorer = Verifier(str(folder), policy)
    scorer.ready()
    return scorer


async def _record(pool: Pool, settings: PrefixSettings, spec: EngineSpec, out: Path, parallel: int) -> Sequence[Label]:
    from poise.evals.progress import ProgressBar
    from poise.lab.prefixes import PrefixDir, record

    async with connected(spec) as live:
        typer.echo(f"going on with {live.card.name} from drafts of {pool.card.name}", err=True)
        with ProgressBar() as watch:
            return await record(pool, settings, live, PrefixDir(out), watch, parallel)


def _report(labels: Sequence[Label], scorer: Verifier | None, seed: int) -> None:
    from rich.console import Console

    from poise.lab.prefix_check import checked, outcomes, scored

    right, ends = sum(sum(label.right) for label in labels), sum(len(label.right) for label in labels)
    asked = len({label.prefix.item.id for label in labels})
    typer.echo(f"{len(labels)} prefixes of {asked} questions; {right / ends:.1%} of {ends} continuations end right")
    if scorer:
        with bar("reading prefixes", len(labels), Console(stderr=True)) as watch:
            scores = asyncio.run(scored(labels, scorer, watch))
        typer.echo(f"head: {checked(scores, labels, seed).text()}")
    typer.echo(f"outcome of the one draft: {checked(outcomes(labels), labels, seed).text()}")
