"""`poise models`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="List, fetch and verify model weights.", invoke_without_command=True)


@app.callback()
def listed(context: typer.Context) -> None:
    """List the models that Poise knows or has fetched."""
    if context.invoked_subcommand:
        return
    from rich.console import Console
    from rich.table import Table

    from poise.models import listing

    table = Table(box=None, pad_edge=False)
    table.add_column("name", no_wrap=True)
    for column in ("source", "licence", "size", "on disk"):
        table.add_column(column)
    for row in listing():
        size = f"{row.size / 1e6:.0f} MB" if row.size else "?"
        here = "verified" if row.verified else "unverified"
        missing = "at first use" if row.made else "no"
        table.add_row(row.name, row.source, row.licence, size, here if row.path else missing)
    console = Console()
    console.print(table)
    console.print("Any GGUF file by its path, and any hub repository as ORG/REPO or ORG/REPO:FILE.gguf, works too.")


@app.command()
def fetch(name: Annotated[str, typer.Argument(help="A name, GGUF path, or hub repository.")] = "default") -> None:
    """Fetch a model into the cache (with its adapter merged in, if it has one), verify it, and print where it lies."""
    typer.echo(str(fetched(name)))


@app.command()
def merge(
    adapter: Annotated[str, typer.Argument(help="A folder with a LoRA adapter as peft writes it, or a known name.")],
    out: Annotated[Path, typer.Option(help="The GGUF file to write.", show_default=False)],
    base: Annotated[
        str | None,
        typer.Option(
            help="The model it was trained for: name, GGUF path, or hub repository.", show_default="as the adapter says"
        ),
    ] = None,
    kind: Annotated[str, typer.Option(help="Number type: Q8_0, BF16, F16, Q4_0, Q4_1 or F32.")] = "Q8_0",
) -> None:
    """Merge an adapter into a GGUF file that any engine of GGUF files runs, and print where it lies."""
    from poise.models.find import adapter_folder, published
    from poise.models.merge import base_name, merged

    folder = adapter_folder(adapter)
    name = base or base_name(folder)
    path = with_bar(f"fetching {name}", lambda show: published(name, show))
    typer.echo(str(with_bar("merging", lambda show: merged(path, folder, out, kind.upper(), show))))


def fetched(name: str) -> Path:
    """The model's file, fetched with a progress bar where it is not here yet."""
    from poise.models import locate

    return with_bar(f"fetching {name}", lambda show: locate(name, show).path)


def with_bar(what: str, fetch: Callable[[Callable[[int, int], None]], Path]) -> Path:
    """What `fetch` gives, under a progress bar that shows once it is told of bytes done and in all."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn

    columns = ("{task.description}", BarColumn(), DownloadColumn(), TimeRemainingColumn())
    bar = Progress(*columns, console=Console(stderr=True), transient=True)
    task = bar.add_task(what, total=None)

    def show(done: int, total: int) -> None:
        bar.start()
        bar.update(task, completed=done, total=total)

    try:
        return fetch(show)
    finally:
        if bar.live.is_started:
            bar.stop()
