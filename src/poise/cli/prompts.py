"""`poise prompts`: what models are told, and what it was worth."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.table import Table

app = typer.Typer(help="List, show, compare, measure and export prompts.", no_args_is_help=True)


class Form(Enum):
    """What a prompt is exported as: messages for any chat endpoint (JSON), a Python function, or a dspy signature."""

    JSON = "json"
    PYTHON = "python"
    DSPY = "dspy"


@app.callback()
def prompts() -> None:
    """List, show, compare, measure and export prompts."""


@app.command("list")
def listed() -> None:
    """List the prompts that ship with Poise, then what they were worth where it was measured, by model and task."""
    from rich.console import Console

    from poise.prompts import load, names

    every, console = [load(name) for name in names()], Console()
    console.print(_table(("prompt", "version", "what it does"), [(p.id, str(p.version), p.description) for p in every]))
    for model, task in sorted({(each.model, each.task) for prompt in every for each in prompt.measured}):
        told = [(p.id, each) for p in every for each in p.measured if (each.model, each.task) == (model, task)]
        told.sort(key=lambda pair: -pair[1].accuracy)
        rows = [(name, each.right, f"{each.tokens:.4g}", str(each.n)) for name, each in told]
        console.print(f"\n{model}, {task}", markup=False, highlight=False)
        console.print(_table(("prompt", "right [95 %]", "new tokens", "n"), rows))


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    for head in heads:
        table.add_column(head, overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    return table


@app.command()
def show(prompt: Annotated[str, typer.Argument(help="A prompt's name, or a .md file.")]) -> None:
    """Print the file of a prompt."""
    from poise.prompts import text_of

    typer.echo(text_of(prompt), nl=False)


@app.command()
def diff(
    first: Annotated[str, typer.Argument(help="A prompt's name, or a .md file.")],
    second: Annotated[str, typer.Argument(help="Another.")],
) -> None:
    """Print what the second prompt has where the first has something else."""
    import difflib

    from poise.prompts import text_of

    one, other = (text_of(name).splitlines(keepends=True) for name in (first, second))
    for line in difflib.unified_diff(one, other, first, second):
        typer.echo(line, nl=False)


@app.command()
def measured(
    run: Annotated[Path, typer.Argument(help="A benchmark's folder; its arms that draw once a question count.")],
    into: Annotated[Path | None, typer.Option(help="Write the prompts' files there, with what was measured.")] = None,
) -> None:
    """Print what the prompts of a benchmark were worth, as their files tell it: accuracy, interval, tokens, n, task.

    Example:

    poise bench --task gsm_symbolic --arms "direct cot direct:prompt=mine.md" --run runs/prompts

    poise prompts measured runs/prompts --into prompts
    """
    from poise.report.read import read
    from poise.report.worth import worth, write_worth

    for prompt, found in worth(read(run)).items():
        for each in found:
            typer.echo(f"{prompt}  {each.model}: {each.told()}")
        if into:
            into.mkdir(parents=True, exist_ok=True)
            write_worth(prompt, found, into)


@app.command()
def export(
    prompt: Annotated[str, typer.Argument(help="A prompt's name, or a .md file.")],
    form: Annotated[Form, typer.Option("--as", help="json, python or dspy.")] = Form.JSON,
    kind: Annotated[str, typer.Option(help="Of answer: number, choice, expression or text.")] = "text",
) -> None:
    """Print a prompt for use without Poise, {question} left open.

    Example:

    poise prompts export cot --as python --kind number > ask.py
    """
    from poise.core import Kind
    from poise.errors import UnknownName
    from poise.prompts import load
    from poise.prompts.export import as_dspy, as_json, as_python

    kinds = {each.value: each for each in Kind}
    if kind not in kinds:
        raise UnknownName("kind", kind, kinds)
    write = {Form.JSON: as_json, Form.PYTHON: as_python, Form.DSPY: as_dspy}[form]
    typer.echo(write(load(prompt), kinds[kind]), nl=False)
