"""`poise bench`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from poise.cli.interrupt import resumable

if TYPE_CHECKING:
    from rich.console import Console

    from poise.config import BenchFile
    from poise.evals.rows import Summary


def bench(
    task: Annotated[list[str] | None, typer.Option(help="A task, such as chain_sum:min_terms=2 or my.jsonl.")] = None,
    arms: Annotated[
        list[str] | None,
        typer.Option(help='Arms, such as "direct self_consistency:n=8 best_of_n:n=8,scorer=self_certainty".'),
    ] = None,
    config: Annotated[Path | None, typer.Option(help="A TOML file with all of this; flags override it.")] = None,
    run: Annotated[Path, typer.Option(help="Run directory; an unfinished run there is gone on with.")] = Path(
        "runs/bench"
    ),
    limit: Annotated[int | None, typer.Option(help="Items per task. [60]")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of items and draws. [0]")] = None,
    parallel: Annotated[int | None, typer.Option(help="Questions at once. [the engine's slots]")] = None,
    compare: Annotated[list[str] | None, typer.Option(help="A test named beforehand: FIRST/SECOND arm.")] = None,
    engine: Annotated[
        str, typer.Option(help='"default", a GGUF path, a hub repository, the URL of a server, or "scripted".')
    ] = "",
    model: Annotated[str, typer.Option(help="Model name, when --engine is a URL.")] = "",
) -> None:
    """Measure what ways of spending compute buy: every arm answers the same items, and is graded.

    Example:

    poise bench --task chain_sum:min_terms=2,max_terms=2 --arms "direct self_consistency:n=8" --limit 50

    Stop it at any time: the same command goes on where it stopped. Then: poise report RUN
    """
    from rich.console import Console

    from poise.errors import ConfigError

    file = _settings(
        config, {"task": task, "limit": limit, "seed": seed, "parallel": parallel, "compare": compare}, arms
    )
    if not file.task:
        raise ConfigError("task", None, "at least one --task, or a --config that names some")
    if not file.arms:
        raise ConfigError("arms", None, 'at least one, such as --arms "direct self_consistency:n=8"')
    _report(Console(), resumable(_bench(file, run, (engine, model)), run), run)


def _settings(config: Path | None, flags: dict[str, object], arms: list[str] | None) -> BenchFile:
    from dataclasses import replace

    from poise.config import BenchFile, arms_of, read_bench

    file = read_bench(config) if config else BenchFile()
    given = {name: tuple(flag) if isinstance(flag, list) else flag for name, flag in flags.items() if flag is not None}
    file = replace(file, **given)  # type: ignore[arg-type]
    return replace(file, arms=arms_of(arms)) if arms else file


async def _bench(file: BenchFile, run: Path, engine: tuple[str, str]) -> Summary:
    from poise.cli.models import fetched
    from poise.config import comparisons, engine_of
    from poise.connect import connect
    from poise.evals.bench import bench as measure
    from poise.evals.bench_settings import BenchSettings
    from poise.evals.progress import ProgressBar
    from poise.scorers import Scorers
    from poise.store.run_dir import RunDir

    specs = dict(file.engines)
    used = {name for arm in file.arms for _, name in arm.plan.engines}
    if engine[0] or ("main" in used and "main" not in specs):
        specs["main"] = engine_of(engine[0] or "default", engine[1])
    for spec in specs.values():
        if spec.kind == "llamacpp":
            fetched(spec.model)
    compare = comparisons(file.compare, file.arms)
    settings = BenchSettings(file.task, file.arms, file.limit, file.seed, file.parallel, compare)
    engines = {name: connect(spec, name) for name, spec in specs.items()}
    try:
        with ProgressBar() as bar:
            return await measure(settings, engines, Scorers(), RunDir(run), bar)
    finally:
        for live in engines.values():
            await live.aclose()


def _report(console: Console, summary: Summary, run: Path) -> None:
    from poise.report.read import read
    from poise.report.scaling import scalings
    from poise.report.table import show

    show(summary, console, scalings(read(run)))
    console.print(f"\nTraces and grades: {run}   Pictures and pages: poise report {run}", markup=False, soft_wrap=True)
