"""`poise strategies`."""

from __future__ import annotations

import re
from typing import Annotated

import typer

_SOURCE = re.compile(r"[A-Z][\w-]+(?: et al\.| & [A-Z][\w-]+)? 20\d\d(?:, arXiv \d+\.\d+)?|arXiv \d+\.\d+")

_BRACKETS = re.compile(r" \((?:[^()]|\([^)]*\))*\)")


def strategies(name: Annotated[str, typer.Argument(help="Show one strategy in full.")] = "") -> None:
    """List the ways to spend compute, with their knobs; or show one in full."""
    from rich.console import Console

    from poise import registry

    console = Console(highlight=False)
    if name:
        _show_one(name)
        return
    for each in registry.names("strategies"):
        what, _, cost = _text(registry.strategy_class(each)).rpartition("Cost: ")
        console.print(f"[bold]{each}[/]  [dim]{cost.rstrip('.')}[/]")
        console.print(f"  {_first_sentence(what)}", markup=False)
        console.print(f"  needs: {_needs(each)}; source: {', '.join(_SOURCE.findall(what)) or '-'}", markup=False)
        console.print(f"  {_knobs(each)}", style="cyan", markup=False)
    console.print(f"\nScorers, for those that need one: {', '.join(registry.names('scorers'))}")
    console.print("In full, with its paper: poise strategies NAME", markup=False)


def _show_one(name: str) -> None:
    from poise import registry

    cls = registry.strategy_class(name)
    typer.secho(name, bold=True)
    typer.echo(f"{_text(cls)}\n\nknobs: {_knobs(name)}")
    typer.echo(f"\npoise ask QUESTION --strategy {name}:KNOB=VALUE,KNOB=VALUE")


def _needs(name: str) -> str:
    """What its engine must be able to do, and whether it takes a scorer."""
    from poise import registry

    made = registry.strategy_class(name)()
    wanted = sorted(ability.value for ability in made.needs) + ["a scorer"] * made.scored
    return ", ".join(wanted) or "nothing"


def _knobs(name: str) -> str:
    from poise import knobs, registry

    return ", ".join(f"{knob}={default}" for knob, default in knobs.knobs_of(registry.strategy_class(name)).items())


def _first_sentence(text: str) -> str:
    """Without the papers, which stand in brackets."""
    plain = _BRACKETS.sub(lambda found: "" if _SOURCE.search(found[0]) else found[0], text)
    return re.split(r"\. ", plain + " ")[0].rstrip(". ")


def _text(cls: type[object]) -> str:
    return " ".join((cls.__doc__ or "").split())
