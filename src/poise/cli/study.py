"""`poise study`: named studies, each by one command that can be killed and goes on."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from poise.cli.interrupt import resumable

if TYPE_CHECKING:
    from poise.config import EngineSpec
    from poise.core import Sampling
    from poise.evals.progress import Progress
    from poise.study.analysis import Analysis
    from poise.study.arms import Terms
    from poise.study.reasoning import Part
    from poise.study.reasoning_page import Outcome
    from poise.study.settings import SearchSettings

app = typer.Typer(help="Run a named study: measure, test, and write it up.", no_args_is_help=True)


@app.callback()
def studies() -> None:
    """Run a named study: measure, test, and write it up."""


@app.command()
def search(
    run: Annotated[Path | None, typer.Option(help="Folder of the study. [runs/study-search]")] = None,
    task: Annotated[list[str] | None, typer.Option(help="Tasks. [three families]")] = None,
    items: Annotated[int | None, typer.Option(help="Items per task. [170; quick: 2]")] = None,
    tree_items: Annotated[int | None, typer.Option(help="The first so many, for trees. [50; quick: 2]")] = None,
    draws: Annotated[int | None, typer.Option(help="Draws per item, and the widest flat arm. [32; quick: 4]")] = None,
    width: Annotated[int | None, typer.Option(help="The widest tree. [16; quick: 4]")] = None,
    flat_arms: Annotated[Path | None, typer.Option(help="TOML file of flat arms. [shipped]")] = None,
    tree_arms: Annotated[Path | None, typer.Option(help="TOML file of tree arms. [shipped]")] = None,
    against: Annotated[list[str] | None, typer.Option(help="Flat methods to test trees against.")] = None,
    scorer: Annotated[str, typer.Option(help="Of trees and learnt choices: as for poise ask.")] = "surprisal",
    prompt: Annotated[str, typer.Option(help="Prompt of every arm: an id, or a .md file.")] = "bare",
    temperature: Annotated[float, typer.Option(help="Sampling temperature.")] = 0.7,
    max_tokens: Annotated[int, typer.Option(help="Ceiling on the tokens of a draw or a path.")] = 256,
    seed: Annotated[int, typer.Option(help="Of items, draws and intervals.", min=0)] = 7700,
    engine: Annotated[str, typer.Option(help="As for poise bench. [torch if installed, else default]")] = "",
    model: Annotated[str, typer.Option(help="Model name, when --engine is a URL.")] = "",
    parallel: Annotated[int | None, typer.Option(help="Questions searched at once. [engine's slots]", min=1)] = None,
    quick: Annotated[bool, typer.Option("--quick", help="A few items and draws: see that it works.")] = False,
) -> None:
    """Where does searching trees beat choosing among whole draws, at equal cost? Records a pool of draws, replays it by
    flat arms, searches the first of the items by trees, and tests one against the other, from hard to easy items.

    Example:

    poise study search --run runs/study-search

    Stop it at any time: the same command goes on where it stopped. RUN/study.md has every table, RUN/study.png the
    picture; RUN/flat and RUN/tree are runs for poise report.
    """
    from poise.config import engine_of
    from poise.study.arms import Terms

    given = {"limit": items, "tree_limit": tree_items, "draws": draws, "width": width}
    sizes = {name: _SIZES[name][quick] if size is None else size for name, size in given.items()}
    sizes["tree_limit"] = min(sizes["tree_limit"], sizes["limit"]) if tree_items is None else sizes["tree_limit"]
    terms = Terms(prompt, _sampling(temperature, max_tokens), scorer)
    named = {name: tuple(words) for name, words in (("tasks", task), ("against", against)) if words}
    settings = _settings(terms, (flat_arms, tree_arms), {**sizes, "seed": seed, **named})
    folder = run or Path("runs") / ("study-search-quick" if quick else "study-search")
    spec = engine_of(engine or ("torch" if _torch() else "default"), model)
    _report(resumable(_search(settings, spec, folder, parallel), folder), folder)


@app.command("inference-scaling-vs-reasoning")
def reasoning(
    checkpoint: Annotated[
        str,
        typer.Argument(help="A model that learnt to think: RUN/adapter of a training, or the one that ships."),
    ] = "default",
    run: Annotated[Path | None, typer.Option(help="Folder of the study. [runs/study-reasoning]")] = None,
    model: Annotated[str, typer.Option(help="The model beneath, where its name does not find it.")] = "",
    task: Annotated[list[str] | None, typer.Option(help="Tasks. [two families of short arithmetic]")] = None,
    items: Annotated[int | None, typer.Option(help="Items per task. [250; quick: 2]")] = None,
    timed_items: Annotated[int | None, typer.Option(help="Per task, asked one by one. [8; quick: 1]", min=1)] = None,
    ablation_task: Annotated[list[str] | None, typer.Option(help="Tasks of ablations. [two of several steps]")] = None,
    ablation_items: Annotated[int | None, typer.Option(help="Items per task of ablations. [75; quick: 2]")] = None,
    share: Annotated[float, typer.Option(help="Share of tokens that gated arms think before.")] = 0.15,
    drafts: Annotated[int, typer.Option(help="Drafts of the amortised arm; short answers want few.")] = 2,
    scorer: Annotated[str, typer.Option(help="Of every search. [mean_logprob; ablations: surprisal]")] = "",
    auroc: Annotated[float, typer.Option(help="Of the scorer, as the table Scores of an earlier run tells it.")] = 1.0,
    prompt: Annotated[str, typer.Option(help="Prompt of every main arm: an id, or a .md file.")] = "silent",
    ablation_prompt: Annotated[str, typer.Option(help="Prompt of ablations.")] = "bare",
    max_tokens: Annotated[int, typer.Option(help="Ceiling on the tokens of a draw or a path.")] = 256,
    seed: Annotated[int, typer.Option(help="Of items and draws.", min=0)] = 8800,
    beneath: Annotated[bool, typer.Option(help="Also the model beneath, as it was before it learnt to think.")] = True,
    parallel: Annotated[int | None, typer.Option(help="Questions at once. [engine's slots]", min=1)] = None,
    quick: Annotated[bool, typer.Option("--quick", help="A few items: see that it works.")] = False,
) -> None:
    """Do thoughts at every token, search, or both together answer best for what they cost? The four configurations of
    the published study (arXiv 2412.16260), their controls, the union with gates, and why the published union failed.

    Main arms answer at once (prompt silent), where thoughts are all the reasoning there is; ablations write their steps
    out, where a search has something to search. Another checkpoint wants its own --prompt and --task.

    Example:

    poise study inference-scaling-vs-reasoning

    Stop it at any time: the same command goes on where it stopped. RUN/study.html has tables, pictures and tests;
    RUN/main, RUN/timed and RUN/ablation are runs for poise report.
    """
    from poise.study.reasoning import ABLATION, MAIN, ReasoningSettings

    shared: dict[str, Any] = {"max_tokens": max_tokens, "share": share, "drafts": drafts, "auroc": auroc}
    shared |= {"scorer": scorer} if scorer else {}
    few = 2 if quick else 0
    main = _part(MAIN, (prompt, task, items or few), shared)
    ablation = _part(ABLATION, (ablation_prompt, ablation_task, ablation_items or few), shared)
    folder = run or Path("runs") / ("study-reasoning-quick" if quick else "study-reasoning")
    settings = ReasoningSettings(main, ablation, seed, beneath, timed_items or (1 if quick else 8))
    _print(resumable(_reasoning(settings, (checkpoint, model), folder, parallel), folder))
    for name in ("study.md", "study.html"):
        if (folder / name).exists():
            typer.echo(folder / name)


def _part(part: Part, asked: tuple[str, list[str] | None, int], shared: dict[str, Any]) -> Part:
    """A part with what was asked for: prompt, tasks and items, its own where these are empty."""
    from dataclasses import replace

    prompt, tasks, items = asked
    design = replace(part.design, prompt=prompt, **shared)
    return replace(part, design=design, tasks=tuple(tasks or part.tasks), limit=items or part.limit)


def _print(found: Outcome) -> None:
    """Its tables."""
    from rich.console import Console

    from poise.study.published_tables import titled
    from poise.study.reasoning_page import tables

    for title, headings, rows in tables(found):
        table = titled(title, *headings)
        for row in rows:
            table.add_row(*row)
        Console().print(table)


async def _reasoning(settings: Any, given: tuple[str, str], folder: Path, parallel: int | None) -> Outcome:
    from dataclasses import replace

    from poise.cli.lab_rollouts import connected
    from poise.config import EngineSpec
    from poise.models.quiet_star.files import check_quiet_star, folder_of, read_config
    from poise.scorers import Scorers
    from poise.study.reasoning import ReasoningDir, reasoning
    from poise.study.reasoning_arms import BENEATH

    checkpoint, model = folder_of(given[0]), given[1]
    check_quiet_star(checkpoint)
    passes = read_config(checkpoint).passes
    main, ablation = (
        replace(part, design=replace(part.design, passes=passes)) for part in (settings.main, settings.ablation)
    )
    settings = replace(settings, main=main, ablation=ablation)
    spec = EngineSpec("quiet-star", model, adapter=str(checkpoint), thinking="off")
    async with connected(spec) as main, connected(EngineSpec("torch", model or _base(checkpoint))) as plain:
        engines = {"main": main, BENEATH: plain}
        return await reasoning(settings, engines, Scorers(), ReasoningDir(folder), _phase, parallel)


def _base(checkpoint: Path) -> str:
    from poise.models.adapter import read_adapter

    return read_adapter(checkpoint).base.name


@app.command()
def published(
    logs: Annotated[Path, typer.Argument(help="A folder of its logs: *_votes.jsonl and *_leaves.jsonl.")],
) -> None:
    """Replay the logs of "Inference Scaling vs Reasoning" (arXiv 2412.16260): its table, tests of its pairs, and what
    fewer votes and earlier stops would have bought.

    Example:

    poise study published logs/
    """
    from rich.console import Console

    from poise.study.published import read_logs
    from poise.study.published_tables import show

    show(read_logs(logs), Console())


_SIZES = {"limit": (170, 2), "tree_limit": (50, 2), "draws": (32, 4), "width": (16, 4)}
"""By default, and when it is to be quick."""


def _torch() -> bool:
    return all(importlib.util.find_spec(package) for package in ("torch", "transformers", "safetensors"))


def _sampling(temperature: float, max_tokens: int) -> Sampling:
    from poise.core import Sampling

    return Sampling(temperature, max_tokens=max_tokens)


def _settings(terms: Terms, files: tuple[Path | None, Path | None], knobs: dict[str, Any]) -> SearchSettings:
    from poise.study.arms import FLAT, TREE, read_arms
    from poise.study.settings import SearchSettings

    tree = read_arms(files[1] or TREE, terms, knobs.pop("width"))
    flat = read_arms(files[0] or FLAT, terms, knobs["draws"])
    return SearchSettings(flat, tree, prompt=terms.prompt, sampling=terms.sampling, **knobs)


async def _search(settings: SearchSettings, spec: EngineSpec, folder: Path, parallel: int | None) -> Analysis:
    from poise.cli.lab_rollouts import connected
    from poise.scorers import Scorers
    from poise.study.search import StudyDir, search

    async with connected(spec) as live:
        return await search(settings, live, Scorers(), StudyDir(folder), _phase, parallel)


@contextmanager
def _phase(title: str) -> Iterator[Callable[[Progress], None]]:
    from poise.evals.progress import ProgressBar

    typer.echo(title, err=True)
    with ProgressBar() as bar:
        yield bar


def _report(analysis: Analysis, folder: Path) -> None:
    from rich.console import Console

    from poise.study.search import PAGE, PICTURE
    from poise.study.terminal import show

    console = Console()
    show(analysis, console)
    for path in (folder / PAGE, folder / PICTURE):
        if path.exists():
            console.print(str(path), markup=False, highlight=False, soft_wrap=True)
