"""What the benchmark scripts share: a table of figures against their targets, and the same as JSON."""

from __future__ import annotations

import argparse
import json
import platform
import sys
from dataclasses import asdict, dataclass

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True)
class Figure:
    """One measured number. `target` is what it should reach, as text; `ok` whether it does (None: no target)."""

    name: str
    value: float
    unit: str
    target: str = ""
    ok: bool | None = None


def parser(about: str | None) -> argparse.ArgumentParser:
    """A parser with `--json`; the script's docstring is its help."""
    made = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--json", action="store_true", help="print JSON instead of a table")
    return made


def _readable(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def show(title: str, figures: list[Figure], as_json: bool) -> None:
    """Print all figures; exit with status 1 when one misses its target."""
    machine = f"Python {platform.python_version()}, {platform.system()} {platform.machine()}"
    if as_json:
        print(json.dumps({"title": title, "machine": machine, "figures": [asdict(each) for each in figures]}, indent=2))
    else:
        table = Table(title=title, caption=machine, title_justify="left", caption_justify="left")
        for heading, justify in (("figure", "left"), ("value", "right"), ("unit", "left"), ("target", "left")):
            table.add_column(heading, justify=justify)  # type: ignore[arg-type]
        for each in figures:
            mark = {True: "met", False: "[bold red]MISSED[/]", None: ""}[each.ok]
            table.add_row(each.name, _readable(each.value), each.unit, f"{each.target} {mark}".strip())
        Console(width=None if sys.stdout.isatty() else 110).print(table)
    if any(each.ok is False for each in figures):
        sys.exit(1)
