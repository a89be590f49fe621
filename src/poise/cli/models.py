"""`poise models`."""

from __future__ import annotations

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

    table = Table("name", "source", "licence", "size", "on disk", "verified", box=None)
    for row in listing():
        size = f"{row.size / 1e6:.0f} MB" if row.size else "?"
        table.add_row(
            row.name, row.source, row.licence, size, "yes" if row.path else "no", "yes" if row.verified else "-"
        )
    console = Console()
    console.print(table)
    console.print("Any GGUF file by its path, and any hub repository as ORG/REPO or ORG/REPO:FILE.gguf, works too.")


@app.command()
def fetch(name: Annotated[str, typer.Argument(help="A name, GGUF path, or hub repository.")] = "default") -> None:
    """Fetch a model into the cache, verify it, and print where it lies."""
    typer.echo(str(fetched(name)))


def fetched(name: str) -> Path:
    """The model's file, fetched with a progress bar where it is not here yet."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn

    from poise.models import locate

    columns = ("{task.description}", BarColumn(), DownloadColumn(), TimeRemainingColumn())
    bar = Progress(*columns, console=Console(stderr=True), transient=True)
    task = bar.add_task(f"fetching {name}", total=None)

    def show(done: int, total: int) -> None:
        bar.start()
        bar.update(task, completed=done, total=total)

    try:
        return locate(name, show).path
    finally:
        if bar.live.is_started:
            bar.stop()
