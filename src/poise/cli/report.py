"""`poise report`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def report(
    run: Annotated[Path, typer.Argument(help="A run directory written by `poise bench` or `poise tune`.")],
    out: Annotated[Path | None, typer.Option(help="Folder to write to; the run directory itself by default.")] = None,
    png: Annotated[bool, typer.Option(help="Write the frontier, and how accuracy scales, as PNGs.")] = True,
    tensorboard: Annotated[bool, typer.Option(help="Write TensorBoard event files.")] = True,
) -> None:
    """Write the report of a run: one self-contained HTML page, PNGs, and TensorBoard event files.

    Example:  poise report runs/demo      then open runs/demo/report.html
    """
    from rich.console import Console

    from poise.report import write

    console = Console()
    for path in write(run, out, png=png, tensorboard=tensorboard):
        console.print(str(path), markup=False, highlight=False, soft_wrap=True)
