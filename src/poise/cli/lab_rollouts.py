"""`poise lab rollouts`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from poise.cli.interrupt import resumable

if TYPE_CHECKING:
    from rich.console import Console

    from poise.config import EngineSpec
    from poise.evals.rows import Interval
    from poise.lab.pool import Gain, Pool
    from poise.seams import Engine
    from poise.store.pool_dir import PoolSettings


def rollouts(
    task: Annotated[list[str], typer.Option(help="A task, such as gsm_symbolic:templates=85-99 or my.jsonl.")],
    out: Annotated[Path, typer.Option(help="Folder of the pool; an unfinished pool there is gone on with.")] = Path(
        "runs/pool"
    ),
    limit: Annotated[int, typer.Option(help="Questions per task.")] = 100,
    seed: Annotated[
        int, typer.Option(help="Seed of questions and draws; a bench that replays them needs the same.")
    ] = 0,
    draws: Annotated[int, typer.Option(help="Draws per question.")] = 32,
    prompt: Annotated[str, typer.Option(help="Prompt that wraps every question: an id, or a .md file.")] = "bare",
    engine: Annotated[
        str, typer.Option(help='"default", a GGUF path, a hub repository, the URL of a server, or "scripted".')
    ] = "default",
    model: Annotated[str, typer.Option(help="Model name, when --engine is a URL.")] = "",
    temperature: Annotated[float, typer.Option(help="Sampling temperature.")] = 0.7,
    max_tokens: Annotated[int, typer.Option(help="Ceiling on the tokens of one draw.")] = 256,
    top_logprobs: Annotated[int, typer.Option(help="Alternatives recorded per token, for scorers that read them.")] = 0,
    parallel: Annotated[int, typer.Option(help="Draws under way. [three times the engine's slots]")] = 0,
) -> None:
    """Record a pool of graded draws, for strategies to replay and verifiers to learn from.

    Example:

    poise lab rollouts --task gsm_symbolic --limit 200 --draws 32 --out runs/pool

    Stop it at any time: the same command goes on where it stopped. Then: poise bench --engine runs/pool --task
    gsm_symbolic --arms "self_consistency:n=8,prompt=bare"
    """
    from rich.console import Console

    from poise.config import engine_of
    from poise.core import Sampling
    from poise.lab.pool import read_pool
    from poise.store.pool_dir import PoolSettings

    sampling = Sampling(temperature, max_tokens=max_tokens, top_logprobs=top_logprobs)
    settings = PoolSettings(tuple(task), limit, seed, draws, prompt, sampling)
    resumable(_record(settings, engine_of(engine, model), out, parallel), out)
    _report(Console(), read_pool(out), out)


async def _record(settings: PoolSettings, spec: EngineSpec, out: Path, parallel: int) -> None:
    from poise.evals.progress import ProgressBar
    from poise.lab.rollouts import record
    from poise.store.pool_dir import PoolDir

    async with connected(spec) as live:
        with ProgressBar() as bar:
            await record(settings, live, PoolDir(out), bar, parallel)


@asynccontextmanager
async def connected(spec: EngineSpec) -> AsyncIterator[Engine]:
    """The engine of a spec, its model fetched, closed in the end."""
    from poise.cli.models import fetched
    from poise.connect import connect

    if spec.kind == "llamacpp":
        fetched(spec.model)
    live = connect(spec)
    try:
        yield live
    finally:
        await live.aclose()


def _report(console: Console, pool: Pool, out: Path) -> None:
    from rich.table import Table

    from poise.lab.pool import gain, read_items, scores
    from poise.store.pool_dir import PoolDir

    n = pool.settings.draws
    drawn = sum(len(one.draws) for one in pool.items)
    caption = f"per cent, 95 % intervals; {drawn:,} draws of {pool.card.name}, prompt {pool.settings.prompt}, seed "
    table = Table(
        box=None, padding=(0, 1, 0, 0), caption=f"{caption}{pool.settings.seed}", caption_justify="left", pad_edge=False
    )
    table.add_column("task", overflow="fold")
    for heading in ("n", "single draw", f"majority of {n}", f"pass@{n}", "tokens"):
        table.add_column(heading, justify="right", no_wrap=True)
    for score in scores(pool):
        shares = (_share(share) for share in (score.single, score.majority, score.passed))
        table.add_row(score.task, f"{score.questions:,}", *shares, f"{score.new_tokens:.0f}")
    console.print(table)
    if n > 1 and pool.items:
        console.print(f"\n{_gain(gain(pool), n)}", markup=False, soft_wrap=True)
    missing = n * len(read_items(PoolDir(out))) - drawn
    if missing:
        console.print(f"{missing:,} draws are missing; the same command asks for them again.")
    console.print(f"\nDraws and grades: {out}", markup=False, soft_wrap=True)


def _gain(found: Gain, n: int) -> str:
    from poise.report.words import probability

    points = f"{100 * found.difference.mean:+.1f} points"
    interval = f"[{100 * found.difference.low:.1f}, {100 * found.difference.high:.1f}]"
    told = f"Majority of {n} against a single draw (each draw counts as one): {points} {interval}"
    return f"{told}, n = {found.questions}, sign-flip p {probability(found.p_value)}"


def _share(share: Interval) -> str:
    return f"{100 * share.mean:.1f} \\[{100 * share.low:.1f}, {100 * share.high:.1f}]"
