"""`poise strategies`."""

from __future__ import annotations

from typing import Annotated

import typer


def strategies(name: Annotated[str, typer.Argument(help="Show one strategy in full.")] = "") -> None:
    """List the ways to spend compute, with their knobs; or show one in full."""
    from rich.console import Console
    from rich.table import Table

    from poise import knobs, registry

    console = Console()
    if name:
        cls = registry.strategy_class(name)
        console.print(f"[bold]{name}[/]\n\n{_text(cls)}\n")
        for knob, default in knobs.knobs_of(cls).items():
            console.print(f"  {knob} = {default}", markup=False, highlight=False)
        console.print(f"\nUse: poise ask QUESTION --strategy {name}:KNOB=VALUE,...", markup=False)
        return
    table = Table("strategy", "what it does and costs", "knobs (defaults)", show_lines=True)
    for each in registry.names("strategies"):
        cls = registry.strategy_class(each)
        shown = ", ".join(f"{knob}={default}" for knob, default in knobs.knobs_of(cls).items())
        table.add_row(f"[bold]{each}[/]", _text(cls), shown)
    console.print(table)
    console.print("Scorers: " + ", ".join(registry.names("scorers")))


def _text(cls: type[object]) -> str:
    return " ".join((cls.__doc__ or "").split())
