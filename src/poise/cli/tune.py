"""`poise tune`: a prompt for one task and one model, by gradients over reasoning and races on fresh answers, or, for
engines whose weights cannot be had, by reflection."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from poise.cli.interrupt import resumable

if TYPE_CHECKING:
    from poise.cli.tune_engines import Words
    from poise.tune.budget import TuneBudget
    from poise.tune.lengths import Shorter
    from poise.tune.optimizer import Problem, Tuned, TuneSettings
    from poise.tune.pick import Pick

PROMPT = "prompt.md"


def tune(
    task: Annotated[str, typer.Option(help="A task, such as gsm_symbolic:templates=0-84 or my.jsonl.")],
    prompt: Annotated[
        str, typer.Option(help="The text to begin with, behind the question. [zero-shot chain of thought]")
    ] = "",
    engine: Annotated[
        str, typer.Option(help="An engine with weights: torch, or torch:MODEL; any engine with --by gepa.")
    ] = "torch",
    model: Annotated[str, typer.Option(help="Model name, when --engine is a URL.")] = "",
    run: Annotated[Path, typer.Option(help="Folder of the run; an unfinished run there is gone on with.")] = Path(
        "runs/tune"
    ),
    calls: Annotated[int | None, typer.Option(help="Stop before so many answers.")] = None,
    tokens: Annotated[int | None, typer.Option(help="Stop before so many tokens.")] = None,
    minutes: Annotated[float | None, typer.Option(help="Stop before so long. [10, if nothing else is given]")] = None,
    by: Annotated[
        str,
        typer.Option(
            help="mixed, gradient, likelihood or random: how edits are chosen; greater: as published; gepa: by reflection."
        ),
    ] = "mixed",
    reflection: Annotated[
        str, typer.Option(help='With --by gepa: the engine that proposes, a word or "URL MODEL". [the same engine]')
    ] = "",
    shorter: Annotated[bool, typer.Option("--shorter", help="Shorter answers are an objective too.")] = False,
    phrases: Annotated[Path | None, typer.Option(help="Phrases about length, a TOML file. [those shipped]")] = None,
    pick: Annotated[
        str, typer.Option(help="What RUN/prompt.md gets: best, knee, max_drop=SHARE or latency=SECONDS.")
    ] = "best",
    learn: Annotated[int, typer.Option(help="Questions to learn from. [60; quick: 20]")] = 0,
    judge: Annotated[int, typer.Option(help="Questions that judge in the end. [300; quick: 40]")] = 0,
    reasoning: Annotated[int, typer.Option(help="Tokens of an answer at most.")] = 96,
    seed: Annotated[int, typer.Option(help="Of questions and draws.", min=0)] = 0,
    quick: Annotated[bool, typer.Option("--quick", help="Few questions and two minutes: see that it works.")] = False,
    headroom: Annotated[
        bool, typer.Option("--headroom", help="Before spending: is there anything to gain, and what will it take?")
    ] = False,
) -> None:
    """Look for a prompt that a model reasons better with. What is returned has a gain that is shown on questions which
    were not learnt from; without one it is the prompt to begin with, and that is said.

    Example:

    poise tune --task gsm_symbolic:templates=0-84 --minutes 60 --run runs/tuned

    poise tune --task my.jsonl --by gepa --engine http://localhost:8000/v1 --model MODEL --calls 3000 --headroom

    Stop it at any time: the same command goes on where it stopped, and one with a larger budget goes further.
    RUN/prompt.md is the prompt, for --prompt; RUN/steps.jsonl says what was tried. With --shorter, {n} in a prompt
    ("Use at most {n} words.") is a number that is searched; --pick chooses from what came of it, then and later.
    """
    from poise.cli.tune_engines import Words, searched
    from poise.tune.facade import step_by
    from poise.tune.optimizer import TuneSettings, initial
    from poise.tune.pick import Pick
    from poise.tune.rows import LossTerms
    from poise.tune.step import StepSettings

    wish, length = Pick.read(pick), _length(shorter, phrases)
    budget = _budget(calls, tokens, minutes, 120.0 if quick else 600.0)
    step = step_by(by, StepSettings(reasoning_tokens=reasoning, shorter=length))
    settings = TuneSettings(prompt or initial(), budget, step, LossTerms.shorter() if length else LossTerms(), seed)
    words = Words(by, engine, model, reflection)
    problem = _problem(task, (learn or (20 if quick else 60), judge or (40 if quick else 300)), seed)
    if headroom:
        _tell_before(words, problem, settings)
        return
    tuned = resumable(searched(words, problem, settings, run), run)
    _tell(tuned, problem, run, words, wish)


def _length(shorter: bool, phrases: Path | None) -> Shorter | None:
    from poise.errors import ConfigError
    from poise.tune.lengths import Shorter
    from poise.tune.phrases import load_phrases

    if not shorter:
        if phrases:
            raise ConfigError("phrases", str(phrases), "only with --shorter, which puts them in")
        return None
    return Shorter(phrases=load_phrases(phrases)) if phrases else Shorter()


def _budget(calls: int | None, tokens: int | None, minutes: float | None, seconds: float) -> TuneBudget:
    """What was asked for, or so many seconds."""
    from poise.tune.budget import TuneBudget

    if (calls, tokens, minutes) == (None, None, None):
        return TuneBudget(seconds=seconds)
    return TuneBudget(calls, tokens, None if minutes is None else 60 * minutes)


def _problem(spec: str, sizes: tuple[int, int], seed: int) -> Problem:
    from poise.errors import ConfigError
    from poise.evals.tasks import load_task
    from poise.tune.examples import check_answers
    from poise.tune.optimizer import Problem

    task, (learn, judge) = load_task(spec), sizes
    items = task.items(learn + judge, seed)
    if len(items) < learn + 1:
        raise ConfigError("task", spec, f"a task with more than {learn} questions, or a smaller --learn")
    check_answers(items[:learn], "task")
    return Problem(task, tuple(items[:learn]), tuple(items[learn:]))


def _tell_before(words: Words, problem: Problem, settings: TuneSettings) -> None:
    import asyncio

    from poise.cli.interrupt import interruptible
    from poise.cli.tune_engines import before

    room, meaning = asyncio.run(interruptible(before(words, problem, settings)))
    shares = (("greedy", room.greedy), ("one draw", room.single), (f"majority of {room.draws}", room.majority))
    for name, share in (*shares, (f"any of {room.draws}", room.passed)):
        interval = f"[{100 * share.low:.1f}, {100 * share.high:.1f}]"
        typer.echo(f"{name}: {100 * share.mean:.1f} % {interval}, n = {room.rows}")
    typer.echo(room.told())
    typer.echo(meaning.told())


def _tell(tuned: Tuned, problem: Problem, run: Path, words: Words, wish: Pick) -> None:
    from poise.tune.emit import GRADIENTS, REFLECTION, prompt_file

    for one in tuned.detailed_results:
        accuracy = f"{100 * one.accuracy:.1f} %, {one.cost:.0f} tokens, n = {len(one.right)}"
        typer.echo(f"{accuracy}: {one.name!r}")
    gain = f"{100 * tuned.gain.mean:+.1f} points [{100 * tuned.gain.low:.1f}, {100 * tuned.gain.high:.1f}]"
    if tuned.shown:
        typer.echo(f"gain {gain} on questions that were not learnt from")
    else:
        typer.echo(f"no gain shown ({gain} at best): the prompt stays as it was")
    best = wish.of(tuned.detailed_results, tuned.best)
    told = (best, words.model or words.engine.removeprefix("torch:"), problem.task.name)
    source = REFLECTION if words.evolves else GRADIENTS
    text = prompt_file(run.name or "tuned", best.name, tuned.initial, told, source)
    (run / PROMPT).write_text(text, encoding="utf-8")
    typer.echo(f"{run / PROMPT}: {best.name!r}" if best.name != tuned.best else run / PROMPT)
