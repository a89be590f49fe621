import io

from rich.console import Console

from poise.tune.optimizer import Progress
from poise.tune.progress_bar import TuneBar

STEPS = [
    Progress(1, "Go.", 10, 100, right=4, rows=10),
    Progress(2, "Go.", 25, 100, right=5, rows=20),
    Progress(3, "Run.", 40, 100, right=1, rows=10),
    Progress(4, "Run.", 55, 100, right=7, rows=10),
    Progress(4, "Go.", 55, 100, judged=0, finalists=2),
]


def told(terminal, pause=31.0):
    now, out = [0.0], io.StringIO()
    console = Console(file=out, force_terminal=terminal, width=120)
    with TuneBar("Go.", console, lambda: now[0]) as bar:
        for progress in STEPS:
            now[0] += pause
            bar(progress)
    return out.getvalue()


def test_accuracy_is_of_the_prompt_at_hand_over_all_its_races():
    assert told(terminal=False).splitlines() == [
        "10% step 1, 40.0% right of 10: 'Go.'",
        "25% step 2, 30.0% right of 30: 'Go.'",
        "40% step 3, new prompt: 'Run.'",
        "55% step 4, 70.0% right of 10: 'Run.'",
        "55% judging prompt 1 of 2: 'Go.'",
    ]


def test_without_a_terminal_there_is_a_line_every_thirty_seconds():
    assert [line.split()[0] for line in told(terminal=False, pause=16.0).splitlines()] == ["25%", "55%"]


def test_lines_that_were_not_said_still_count():
    assert "step 4, 70.0% right of 10" in told(terminal=False, pause=16.0)


def test_on_a_terminal_there_is_a_bar():
    shown = told(terminal=True)
    assert "55%" in shown
    assert "judging prompt 1 of 2" in shown


def test_a_long_prompt_leaves_the_bar_where_it_is():
    out = io.StringIO()
    with TuneBar("Go.", Console(file=out, force_terminal=True, width=70)) as bar:
        bar(Progress(1, "Go " * 60, 42, 100, right=4, rows=10))
    assert "42%" in out.getvalue()
    assert "…" in out.getvalue()


def test_what_a_prompt_says_is_no_markup():
    out = io.StringIO()
    with TuneBar("Go.", Console(file=out, force_terminal=True, width=120)) as bar:
        bar(Progress(1, "[red]Go[/red]\x1b[2J", 10, 100, right=4, rows=10))
    assert "[red]Go[/red]" in out.getvalue()
    assert "\x1b[2J" not in out.getvalue()
