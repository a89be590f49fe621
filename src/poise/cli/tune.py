"""`poise tune`: a prompt for one task and one model, by gradients over reasoning and races on fresh answers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from poise.cli.interrupt import resumable

if TYPE_CHECKING:
    from poise.tune.optimizer import Problem, Tuned, TuneSettings
    from poise.tune.shortlist import By

PROMPT = "prompt.md"


def tune(
    task: Annotated[str, typer.Option(help="A task, such as gsm_symbolic:templates=0-84 or my.jsonl.")],
    prompt: Annotated[
        str, typer.Option(help="The text to begin with, behind the question. [zero-shot chain of thought]")
    ] = "",
    engine: Annotated[str, typer.Option(help="An engine with weights: torch, or torch:MODEL.")] = "torch",
    run: Annotated[Path, typer.Option(help="Folder of the run; an unfinished run there is gone on with.")] = Path(
        "runs/tune"
    ),
    calls: Annotated[int | None, typer.Option(help="Stop before so many answers.")] = None,
    tokens: Annotated[int | None, typer.Option(help="Stop before so many tokens.")] = None,
    minutes: Annotated[float | None, typer.Option(help="Stop before so long. [10, if nothing else is given]")] = None,
    by: Annotated[str, typer.Option(help="mixed, gradient, likelihood or random: how edits are chosen.")] = "mixed",
    learn: Annotated[int, typer.Option(help="Questions to learn from. [60; quick: 20]")] = 0,
    judge: Annotated[int, typer.Option(help="Questions that judge in the end. [300; quick: 40]")] = 0,
    reasoning: Annotated[int, typer.Option(help="Tokens of an answer at most.")] = 96,
    seed: Annotated[int, typer.Option(help="Of questions and draws.", min=0)] = 0,
    quick: Annotated[bool, typer.Option("--quick", help="Few questions and two minutes: see that it works.")] = False,
) -> None:
    """Look for a prompt that a model reasons better with. What is returned has a gain that is shown on questions which
    were not learnt from; without one it is the prompt to begin with, and that is said.

    Example:

    poise tune --task gsm_symbolic:templates=0-84 --minutes 60 --run runs/tuned

    Stop it at any time: the same command goes on where it stopped, and one with a larger budget goes further.
    RUN/prompt.md is the prompt, for --prompt; RUN/report.html shows what was tried (poise report RUN, at any time).
    """
    from poise.tune.budget import TuneBudget
    from poise.tune.optimizer import TuneSettings, initial
    from poise.tune.step import StepSettings

    given = {"calls": calls, "tokens": tokens, "seconds": None if minutes is None else 60 * minutes}
    if all(value is None for value in given.values()):
        given["seconds"] = 120.0 if quick else 600.0
    budget = TuneBudget(calls, tokens, given["seconds"])
    settings = TuneSettings(prompt or initial(), budget, StepSettings(_by(by), reasoning_tokens=reasoning), seed=seed)
    problem = _problem(task, (learn or (20 if quick else 60), judge or (40 if quick else 300)), seed)
    tuned = resumable(_tune(engine, problem, settings, run), run)
    _tell(tuned, problem, run, engine)


def _by(name: str) -> By:
    from poise.errors import UnknownName
    from poise.tune.shortlist import By

    ways = {way.value: way for way in By}
    if name not in ways:
        raise UnknownName("by", name, ways)
    return ways[name]


def _problem(spec: str, sizes: tuple[int, int], seed: int) -> Problem:
    from poise.errors import ConfigError
    from poise.evals.tasks import load_task
    from poise.tune.optimizer import Problem

    task, (learn, judge) = load_task(spec), sizes
    items = task.items(learn + judge, seed)
    if len(items) < learn + 1:
        raise ConfigError("task", spec, f"a task with more than {learn} questions, or a smaller --learn")
    return Problem(task, tuple(items[:learn]), tuple(items[learn:]))


async def _tune(engine: str, problem: Problem, settings: TuneSettings, run: Path) -> Tuned:
    from poise.cli.lab_rollouts import connected
    from poise.config import engine_of
    from poise.engines.torch_lm import TorchLM
    from poise.errors import ConfigError
    from poise.tune.optimizer import TuneDir, optimise
    from poise.tune.progress_bar import TuneBar

    spec = engine_of(engine)
    if spec.kind != "torch":
        raise ConfigError("engine", engine, "an engine with weights: torch, or torch:MODEL")
    async with connected(spec) as live:
        assert isinstance(live, TorchLM)
        with TuneBar(settings.initial) as watch:
            return await optimise(live, problem, settings, TuneDir(run), watch)


def _tell(tuned: Tuned, problem: Problem, run: Path, engine: str) -> None:
    from poise.tune.emit import prompt_file

    for one in tuned.detailed_results:
        accuracy = f"{100 * one.accuracy:.1f} %, {one.cost:.0f} tokens, n = {len(one.right)}"
        typer.echo(f"{accuracy}: {one.name!r}")
    gain = f"{100 * tuned.gain.mean:+.1f} points [{100 * tuned.gain.low:.1f}, {100 * tuned.gain.high:.1f}]"
    if tuned.shown:
        typer.echo(f"gain {gain} on questions that were not learnt from")
    else:
        typer.echo(f"no gain shown ({gain} at best): the prompt stays as it was")
    best = next(one for one in tuned.detailed_results if one.name == tuned.best)
    text = prompt_file(
        run.name or "tuned", tuned.best, tuned.initial, (best, engine.removeprefix("torch:"), problem.task.name)
    )
    (run / PROMPT).write_text(text, encoding="utf-8")
    typer.echo(run / PROMPT)
    _draw(run)


def _draw(run: Path) -> None:
    """The page of the run; a missing package is no reason to fail after all that work."""
    from poise.errors import ConfigError
    from poise.report import write

    try:
        for path in write(run, tensorboard=False):
            typer.echo(path)
    except ConfigError as missing:
        typer.secho(f"no page: {missing}", err=True)
