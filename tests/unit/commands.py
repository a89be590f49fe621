"""Commands called in this process, as the command line calls them."""

from typer.testing import CliRunner


def outcome_of(command, *words, stdin=None):
    """How it ended; what it raised is raised here, exits apart."""
    outcome = CliRunner().invoke(command, [str(word) for word in words], input=stdin)
    if outcome.exception and not isinstance(outcome.exception, SystemExit):
        raise outcome.exception
    return outcome


def output_of(command, *words, stdin=None):
    """What it printed; it must exit with 0."""
    outcome = outcome_of(command, *words, stdin=stdin)
    assert outcome.exit_code == 0, outcome.output
    return outcome.output
