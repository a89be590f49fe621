import io

from rich.console import Console

from poise.lab.progress_bar import TrainingBar
from poise.lab.train import Progress


def told(terminal, count=101, pause=1.0, before=0):
    """What a bar shows of so many steps of 10 tokens, one every `pause` seconds, after `before` tokens."""
    now, out = [0.0], io.StringIO()
    console = Console(file=out, force_terminal=terminal, width=120)
    with TrainingBar(before, console, lambda: now[0]) as bar:
        for step in range(1, count + 1):
            now[0] += pause
            of_tokens = before + 10 * count
            bar(Progress(step, before + 10 * step, of_tokens, 1.5, {"sums": 0.25} if step > 40 else {}, now[0]))
    return out.getvalue()


def test_without_a_terminal_there_is_a_line_every_thirty_seconds():
    lines = told(terminal=False).splitlines()
    assert lines[0] == "30% step 30, ETA 0:01:11, 10 tokens/s, loss 1.500"
    assert [line.split()[0] for line in lines] == ["30%", "59%", "89%", "100%"]
    assert lines[-1].endswith("ETA 0:00:00, 10 tokens/s, loss 1.500; validation: sums 0.250")


def test_the_forecast_is_of_this_sittings_pace():
    assert "ETA 0:01:10, 10 tokens/s" in told(terminal=False, count=100, before=5000).splitlines()[0]


def test_on_a_terminal_there_is_a_bar():
    shown = told(terminal=True)
    assert "100%" in shown
    assert "validation: sums 0.250" in shown
