"""`poise ask`."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from poise.core import Goal, Kind, Request, Sampling
from poise.costs import Budget
from poise.trace import Answer

if TYPE_CHECKING:
    from poise.config import EngineSpec


def ask(
    question: Annotated[str, typer.Argument(help='The question; "-" reads it from standard input.')],
    strategy: Annotated[
        str, typer.Option(help='How to spend compute, such as "self_consistency:n=8"; see `poise strategies`.')
    ] = "",
    prompt: Annotated[
        str, typer.Option(help="A prompt's name, or a .md file, in place of the strategy's; see `poise prompts list`.")
    ] = "",
    deadline: Annotated[
        float | None, typer.Option(help="Answer within this many seconds, with the best so far.")
    ] = None,
    tokens: Annotated[int | None, typer.Option(help="Ceiling on generated tokens, over all drafts.")] = None,
    explain: Annotated[
        bool, typer.Option("--explain", help="Print why, and everything that happened, as a tree.")
    ] = False,
    kind: Annotated[str, typer.Option(help="Kind of answer: auto, number, choice, expression, text.")] = "auto",
    engine: Annotated[
        str, typer.Option(help='"default", a GGUF path, a hub repository, the URL of a server, or "scripted".')
    ] = "default",
    model: Annotated[str, typer.Option(help="Model name, when --engine is a URL.")] = "",
    dialect: Annotated[str, typer.Option(help="What the server is: openai, llamacpp, vllm, sglang.")] = "",
    scorer: Annotated[
        str, typer.Option(help="For strategies that score: mean_logprob (default), surprisal, agreement, ...")
    ] = "",
    temperature: Annotated[float, typer.Option(help="Sampling temperature.")] = 0.7,
    max_tokens: Annotated[int, typer.Option(help="Ceiling on the tokens of one draft.")] = 256,
    seed: Annotated[int, typer.Option(help="Seed of the run.")] = 0,
) -> None:
    """Ask one question; Poise decides how much reasoning to buy, unless --strategy says.

    Examples:

    poise ask "What is 17 + 25?" --explain

    poise ask - --deadline 3 < question.txt
    """
    from rich.console import Console

    from poise.cli.models import fetched
    from poise.config import engine_of

    if question == "-":
        question = _standard_input()
    budget = Budget(new_tokens=tokens, seconds=deadline)
    request = Request.ask(question, _kind(kind, question), Sampling(temperature, max_tokens=max_tokens), Goal(budget))
    spec = engine_of(engine, model)
    if spec.kind == "llamacpp":
        fetched(spec.model)
    if dialect:
        spec = replace(spec, dialect=dialect)
    answer = asyncio.run(_solved(request, spec, (strategy, scorer, prompt), seed))
    console = Console()
    if explain:
        from poise.report.tree import trace_tree

        console.print(trace_tree(answer.trace))
        console.print()
    console.print(_answer_line(answer), markup=False, highlight=False)


def _standard_input() -> str:
    from poise.errors import ConfigError

    try:
        return typer.get_binary_stream("stdin").read().decode()
    except UnicodeDecodeError as error:
        raise ConfigError("question", f"byte {error.start} of standard input", "UTF-8 text") from None


def _kind(name: str, question: str) -> Kind:
    from poise.control.features import kind_of
    from poise.errors import UnknownName

    if name == "auto":
        return kind_of(question)
    kinds = {kind.value: kind for kind in Kind}
    if name not in kinds:
        raise UnknownName("kind", name, ["auto", *kinds])
    return kinds[name]


async def _solved(request: Request, spec: EngineSpec, wanted: tuple[str, str, str], seed: int) -> Answer:
    from poise.config import prompted, strategy_of
    from poise.connect import connect
    from poise.control.planner import plan
    from poise.errors import ConfigError
    from poise.run import solve
    from poise.scorers import Scorers

    strategy, scorer, prompt = wanted
    chosen, named = strategy_of(strategy) if strategy else (None, None)
    live = connect(spec)
    try:
        decided = plan(request, strategy=chosen, engine=live.name, scorer=scorer or named, card=live.card)
        if scorer and not decided.strategy.scored:
            raise ConfigError("scorer", scorer, f"with a strategy that scores; {decided.strategy.name} does not")
        if prompt:
            decided = prompted(decided, prompt)
        return await solve(request, decided, {live.name: live}, Scorers(), seed)
    finally:
        await live.aclose()


def _answer_line(answer: Answer) -> str:
    """The value (or, for free text, the text), with confidence and cost on a line below."""
    from poise.report.words import UNWEIGHED

    usage = answer.usage
    sure = "" if answer.confidence is None else f"confidence {answer.confidence:.2f} · "
    head = answer.value.text if answer.value else f"No value was found in what was written:\n{answer.text.strip()}"
    blind = f"\n({UNWEIGHED}: they counted alike)" if answer.trace.unweighed else ""
    cost = f"{usage.calls} calls, {usage.new_tokens + usage.overrun_tokens} new tokens, {usage.seconds:.2f} s"
    return f"{head}\n({sure}{cost} · {answer.stopped.value}){blind}"
