"""What the prompts of a benchmark were worth."""

import pytest
from commands import output_of

from poise import prompts
from poise.cli import app
from poise.errors import ConfigError
from poise.prompts import Measurement
from poise.report.read import read
from poise.report.worth import with_worth, worth

SUMS = '{"question": "What is %d + 4?", "answer": "%d", "kind": "number"}\n'
TOLD = Measurement("a-model", 0.5, 0.25, 0.75, 12.0, 40, "sums")


@pytest.fixture
def bench(tmp_path):
    """Runs a benchmark of some arms; returns its folder."""
    task, run = tmp_path / "sums.jsonl", tmp_path / "run"
    task.write_text("".join(SUMS % (k, k + 4) for k in range(12)))

    def made(arms):
        output_of(app, "bench", "--task", str(task), "--engine", "scripted", "--run", str(run), "--arms", arms)
        return run

    return made


def test_arms_of_single_draws_are_told_by_prompt(bench):
    reading = read(bench("direct cot self_consistency:n=3,prompt=bare"))
    found = worth(reading)
    assert set(found) == {"direct", "cot"}
    [each] = found["cot"]
    rows = reading.by_arm()["cot"]
    assert (each.n, each.accuracy) == (12, sum(row.correct for row in rows) / 12)
    assert each.low < each.accuracy < each.high
    assert each.tokens == pytest.approx(sum(row.usage.new_tokens for row in rows) / 12)


def test_a_benchmark_without_single_draws_tells_nothing(bench):
    with pytest.raises(ConfigError, match="draws once a question"):
        worth(read(bench("self_consistency:n=3")))


def test_measurements_go_into_the_file_and_make_it_no_other_prompt(tmp_path):
    text = prompts.text_of("cot")
    again = with_worth(with_worth(text, [TOLD]), [TOLD, Measurement("b", 0.1, 0.0, 0.2, 3.0, 9, "sums")])
    path = tmp_path / "cot.md"
    path.write_text(again)
    read_back, shipped = prompts.load(str(path)), prompts.parse(with_worth(text, []).encode(), "cot.md")
    assert read_back.measured[-2] == TOLD
    assert len(read_back.measured) == len(shipped.measured) + 2
    assert read_back.hash == shipped.hash == prompts.load("cot").hash
    assert read_back.turns == shipped.turns


def test_the_command_writes_files_that_load(bench, tmp_path):
    told = output_of(app, "prompts", "measured", str(bench("direct cot")), "--into", str(tmp_path / "told"))
    assert "cot  " in told
    measured = prompts.load(str(tmp_path / "told" / "cot.md")).measured
    assert measured[-1].told() in told
    assert measured[-1].told() in output_of(app, "prompts", "show", str(tmp_path / "told" / "cot.md"))
