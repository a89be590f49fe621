"""The command line. Each command is a file; this one names them and turns errors into exit codes.

Exit codes: 0 done; 1 it failed while running (RunError); 2 the request cannot work (ConfigError); 3 what was asked for
is done and saved, but a training is not finished; 130 interrupted.
"""

from __future__ import annotations

import logging
import os
import sys

import typer

from poise import __version__
from poise.aside import unheard
from poise.cli import lab, models, prompts, study
from poise.cli.ask import ask
from poise.cli.bench import bench
from poise.cli.report import report
from poise.cli.strategies import strategies
from poise.cli.tune import tune
from poise.errors import ConfigError, PoiseError

app = typer.Typer(
    name="poise",
    help="Decide per question how much reasoning to buy, and prove it with measured frontiers.",
    epilog="Start with: poise ask 'What is 17 + 25?' --explain    Then: poise bench --help",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for command in (ask, bench, report, strategies, tune):
    app.command()(command)
app.add_typer(lab.app, name="lab")
app.add_typer(models.app, name="models")
app.add_typer(prompts.app, name="prompts")
app.add_typer(study.app, name="study")


@app.command()
def version() -> None:
    """Print the version."""
    typer.echo(f"poise {__version__}")


def main() -> None:
    """Run the command line and exit."""
    try:
        _carried_out()
    except SystemExit as end:
        if not unheard():
            raise
        _leave(end)  # what a scorer still does in its thread, nobody waits for any more


def _carried_out() -> None:
    logging.basicConfig(
        level=os.environ.get("POISE_LOG", "WARNING").upper(), format="%(levelname)s %(name)s: %(message)s"
    )
    try:
        app(standalone_mode=True)
    except PoiseError as error:
        typer.secho(f"error: {error}", fg=typer.colors.RED, err=True)
        sys.exit(2 if isinstance(error, ConfigError) else 1)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        sys.exit(f"error: {where}{error.strerror or error}")
    except KeyboardInterrupt:
        typer.secho("interrupted", err=True)
        sys.exit(130)


def _leave(end: SystemExit) -> None:
    """Exit at once, with the status that Python would exit with."""
    if isinstance(end.code, str):
        typer.echo(end.code, err=True)
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(end.code if isinstance(end.code, int) else int(end.code is not None))
