"""`poise tune`: a prompt for one task and one model, by gradients over reasoning and races on fresh answers, or, for
engines whose weights cannot be had, by reflection. The work is that of `poise.tune.Optimizer`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from poise.cli.interrupt import interruptible, resumable

if TYPE_CHECKING:
    from poise.evals.rows import Item
    from poise.evals.tasks import Task
    from poise.prompts import PromptFile
    from poise.tune.budget import TuneBudget
    from poise.tune.compiled import Compiled
    from poise.tune.estimate import Estimate
    from poise.tune.facade import Optimizer
    from poise.tune.headroom import Headroom

_PROMPT = "The text to begin with, behind the question, or a .md file. [zero-shot chain of thought]"
_ENGINE = "An engine with weights: torch, or torch:MODEL; any engine with --by gepa."
_BY = "mixed, gradient, likelihood or random: how edits are chosen; greater: as published; gepa: by reflection."
_REFLECTION = 'With --by gepa: the engine that proposes, a word or "URL MODEL". [the same engine]'
_PICK = "What RUN/prompt.md gets: best, knee, max_drop=SHARE or latency=SECONDS."
_HEADROOM = "Before spending: is there anything to gain, and what will it take?"


@dataclass(frozen=True, slots=True)
class Sets:
    """Questions to learn from, those that judge, and those that test, if any."""

    learn: list[Item]
    judge: list[Item]
    test: list[Item] | None


def tune(
    task: Annotated[str, typer.Option(help="A task, such as gsm_symbolic:templates=0-84 or my.jsonl.")],
    prompt: Annotated[str, typer.Option(help=_PROMPT)] = "",
    engine: Annotated[str, typer.Option(help=_ENGINE)] = "torch",
    model: Annotated[str, typer.Option(help="Model name, when --engine is a URL.")] = "",
    run: Annotated[Path, typer.Option(help="Folder of the run; an unfinished run there is gone on with.")] = Path(
        "runs/tune"
    ),
    calls: Annotated[int | None, typer.Option(help="Search with so many answers at most.")] = None,
    tokens: Annotated[int | None, typer.Option(help="Search with so many tokens at most.")] = None,
    minutes: Annotated[float | None, typer.Option(help="Search for so long. [10, if nothing else is given]")] = None,
    by: Annotated[str, typer.Option(help=_BY)] = "mixed",
    reflection: Annotated[str, typer.Option(help=_REFLECTION)] = "",
    shorter: Annotated[bool, typer.Option("--shorter", help="Shorter answers are an objective too.")] = False,
    phrases: Annotated[Path | None, typer.Option(help="Phrases about length, a TOML file. [those shipped]")] = None,
    pick: Annotated[str, typer.Option(help=_PICK)] = "best",
    learn: Annotated[int | None, typer.Option(help="Questions to learn from. [60; quick: 20]", min=1)] = None,
    judge: Annotated[int | None, typer.Option(help="Questions that judge in the end. [300; quick: 40]", min=1)] = None,
    test: Annotated[int | None, typer.Option(help="Questions for what was picked. [300; quick: 40]", min=0)] = None,
    reasoning: Annotated[int, typer.Option(help="Tokens of an answer at most.")] = 96,
    seed: Annotated[int, typer.Option(help="Of questions and draws.", min=0)] = 0,
    quick: Annotated[bool, typer.Option("--quick", help="Few questions and four minutes: see that it works.")] = False,
    headroom: Annotated[bool, typer.Option("--headroom", help=_HEADROOM)] = False,
) -> None:
    """Look for a prompt that a model reasons better with. What is returned has a gain that is shown on questions which
    were not learnt from; without one it is the prompt to begin with, and that is said. A gain is measured once more, on
    questions that nothing was chosen by (--test). A task with too few questions for all that is dealt out in thirds.

    Example:

    poise tune --task gsm_symbolic:templates=0-84 --minutes 60 --run runs/tuned

    poise tune --task my.jsonl --by gepa --engine http://localhost:8000/v1 --model MODEL --calls 3000 --headroom

    Answers, tokens or minutes are those of the search. The judgement comes on top: at most 6 prompts (13 with
    --shorter), each on all questions of --judge, and two on those of --test; --headroom says what that takes.

    Stop it at any time: the same command goes on where it stopped, and one with a larger budget goes further.
    RUN/prompt.md is the prompt, for --prompt; RUN/report.html shows what was tried (poise report RUN, at any time).
    With --shorter, {n} in a prompt ("Use at most {n} words.") is a number that is searched; --pick chooses from what
    came of it, then and later. The seconds of latency= are those of the judgement, which draws 64 answers at once.
    """
    from poise.evals.tasks import load_task
    from poise.tune.facade import Optimizer
    from poise.tune.step import StepSettings

    begun = _beginning(prompt)
    source, budget = load_task(task), _budget(calls, tokens, minutes, 240.0 if quick else 600.0)
    step, named = StepSettings(reasoning_tokens=reasoning), f"{engine} {model}" if model else engine
    wished = partial(Optimizer, by=by, shorter=shorter, phrases=phrases, pick=pick, reflection=reflection or None)
    made = wished(source, engine=named, budget=budget, seed=seed, run_dir=run, step=step)
    items = _items(source, task, (learn, judge, test), (20, 40, 40) if quick else (60, 300, 300), seed)
    made.check(begun, trainset=items.learn, valset=items.judge, testset=items.test)
    _fetch(made)
    if headroom:
        _tell_before(made, begun, items)
    else:
        _tell(resumable(_compiled(made, begun, items), run))


def _beginning(prompt: str) -> str | PromptFile:
    """What is tuned: a text as it is, or a prompt file."""
    from poise.prompts import load

    return load(prompt) if prompt.endswith(".md") else prompt


def _budget(calls: int | None, tokens: int | None, minutes: float | None, seconds: float) -> TuneBudget:
    """What was asked for, or so many seconds."""
    from poise.tune.budget import TuneBudget

    if (calls, tokens, minutes) == (None, None, None):
        return TuneBudget(seconds=seconds)
    return TuneBudget(calls, tokens, None if minutes is None else 60 * minutes)


def _fetch(made: Optimizer) -> None:
    """Models that are not here yet, with a progress bar."""
    from poise.api import spec_named
    from poise.cli.models import fetched

    for word in (made.engine, made.reflection):
        spec = spec_named(word) if isinstance(word, str) else None
        if spec and spec.kind == "llamacpp":
            fetched(spec.model)


def _items(task: Task, spec: str, asked: Sequence[int | None], usual: Sequence[int], seed: int) -> Sets:
    """Questions to learn from, those that judge, and those that test, each once. Raises ConfigError where there are too
    few for what was asked."""
    from poise.errors import ConfigError

    wanted = sum(most if one is None else one for one, most in zip(asked, usual, strict=True))
    items = list({item.question: item for item in task.items(2 * wanted, seed)}.values())[:wanted]
    learn = min(usual[0], len(items) // 3) if asked[0] is None else asked[0]
    judge = min(usual[1], (len(items) - learn + 1) // 2) if asked[1] is None else asked[1]
    test = max(0, min(usual[2], len(items) - learn - judge)) if asked[2] is None else asked[2]
    needed = max(1, learn) + max(1, judge) + test
    if learn < 1 or judge < 1 or needed > len(items):
        raise ConfigError("task", spec, f"a task with {max(3, needed)} questions or more, or smaller --learn, --judge")
    return Sets(items[:learn], items[learn : learn + judge], items[learn + judge : learn + judge + test] or None)


async def _compiled(made: Optimizer, prompt: str | PromptFile, items: Sets) -> Compiled:
    """What the search comes to, behind a bar; the engine is there before the bar is."""
    from poise.tune.facade import opened
    from poise.tune.progress_bar import TuneBar

    async with opened(made.engine) as live:
        with TuneBar(made.beginning(prompt)) as watch:
            made = replace(made, engine=live)
            return await made.acompile(
                prompt, trainset=items.learn, valset=items.judge, testset=items.test, watch=watch
            )


def _tell_before(made: Optimizer, prompt: str | PromptFile, items: Sets) -> None:
    import asyncio

    room, meaning = asyncio.run(interruptible(_before(made, prompt, items)))
    shares = (("greedy", room.greedy), ("one draw", room.single), (f"majority of {room.draws}", room.majority))
    for name, share in (*shares, (f"any of {room.draws}", room.passed)):
        interval = f"[{100 * share.low:.1f}, {100 * share.high:.1f}]"
        typer.echo(f"{name}: {100 * share.mean:.1f} % {interval}, n = {room.rows}")
    typer.echo(room.told())
    typer.echo(meaning.told())


async def _before(made: Optimizer, prompt: str | PromptFile, items: Sets) -> tuple[Headroom, Estimate]:
    """Whether there is anything to gain, and what the budget will mean; the engine is opened once."""
    from poise.tune.facade import opened

    async with opened(made.engine) as live:
        made = replace(made, engine=live)
        room = await made.aheadroom(prompt, trainset=items.learn)
        return room, await made.aestimate(prompt, trainset=items.learn, valset=items.judge, testset=items.test)


def _tell(found: Compiled) -> None:
    for one in found.detailed_results:
        accuracy = f"{100 * one.accuracy:.1f} %, {one.cost:.0f} tokens, n = {len(one.right)}"
        typer.echo(f"{accuracy}: {one.name!r}")
    gain = found.tuned.gained.told()
    if found.shown:
        typer.echo(f"gain {gain} on questions that were not learnt from")
    elif not found.tuned.steps:
        typer.echo("nothing was found: the budget ended within the first step, and the prompt stays as it was")
    else:
        typer.echo(f"no gain shown ({gain} at best): the prompt stays as it was")
    if found.tested:
        typer.echo(f"test: {found.tested.told()}, on questions that nothing was chosen by")
    typer.echo(f"{found.path}: {found.picked.name!r}" if found.picked.name != found.best else found.path)
    _draw(found.path.parent)


def _draw(run: Path) -> None:
    """The page of the run; a missing package, or a run without a step, is no reason to fail after all that work."""
    from poise.errors import ConfigError, DataError
    from poise.report import write

    try:
        for path in write(run, tensorboard=False):
            typer.echo(path)
    except (ConfigError, DataError) as missing:
        typer.secho(f"no page: {missing}", err=True)
