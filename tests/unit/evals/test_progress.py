import io

from rich.console import Console

from poise.costs import Usage
from poise.evals.progress import ArmProgress, Progress, ProgressBar, Tally
from poise.evals.rows import Row


def row_of(arm: str, correct: bool, error: str | None = None) -> Row:
    return Row("i", "t", "i", arm, "7", "7", None, correct, True, None, 1, None, Usage(new_tokens=100), error=error)


def test_progress_counts_this_sitting_apart_from_those_before() -> None:
    now = [100.0]
    tally = Tally(["a", "b"], 10, lambda: now[0])
    tally.add(row_of("a", True))
    tally.start()
    assert (tally.progress().eta_seconds, tally.progress().tokens_per_second) == (None, 0.0)
    now[0] += 20.0
    tally.add(row_of("a", False))
    tally.add(row_of("b", False, "NoAnswer"))
    progress = tally.progress()
    assert (progress.done, progress.before, progress.total) == (3, 1, 10)
    assert (progress.eta_seconds, progress.tokens_per_second) == (70.0, 10.0)
    assert progress.arms == (ArmProgress("a", 2, 1, 0), ArmProgress("b", 1, 0, 1))
    assert str(progress) == "ETA 1:10, 10 tokens/s; a 50.0%, b 0.0%; 1 failed"


def told(terminal: bool, pause: float) -> str:
    """What a bar of 101 questions shows, one every `pause` seconds."""
    now, out = [0.0], io.StringIO()
    console = Console(file=out, force_terminal=terminal, width=100)
    with ProgressBar(console, lambda: now[0]) as bar:
        for done in range(1, 102):
            now[0] += pause
            bar(Progress(done, 101, 0, (ArmProgress("a", done, done),), done, now[0]))
    return out.getvalue()


def test_without_a_terminal_there_is_a_line_every_thirty_seconds() -> None:
    lines = told(terminal=False, pause=1.0).splitlines()
    assert [line.split()[0] for line in lines] == ["30/101", "60/101", "90/101", "101/101"]
    assert lines[0] == "30/101 ETA 1:11, 1 tokens/s; a 100.0%"


def test_on_a_terminal_there_is_a_bar() -> None:
    shown = told(terminal=True, pause=1.0)
    assert "101/101" in shown
    assert "a 100.0%" in shown
