"""What the prompts of a benchmark were worth."""

import pytest
from commands import output_of

from poise import prompts
from poise.cli import app
from poise.errors import ConfigError
from poise.prompts import Measurement
from poise.prompts.measured import with_measurements, without_measurements
from poise.report.read import read
from poise.report.worth import worth, write_worth

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


def test_a_benchmark_that_tells_nothing_is_refused(bench, tmp_path):
    with pytest.raises(ConfigError, match="draws once a question"):
        worth(read(bench("self_consistency:n=3")))


def test_two_arms_with_one_prompt_are_refused(bench):
    with pytest.raises(ConfigError, match="one arm that asks"):
        worth(read(bench("token_budget:n=20 token_budget:n=200")))


def test_an_unfinished_benchmark_is_refused(bench):
    run = bench("direct cot")
    grades = run / "grades.jsonl"
    grades.write_text("".join(grades.read_text().splitlines(keepends=True)[:-3]))
    with pytest.raises(ConfigError, match="finished"):
        worth(read(run))


HEADER = "\ufeff---\r\nid: cot\r\nversion: 2\r\ndescription: Mine.\r\nsource: here\r\n--- \r\n"
MINE = f"{HEADER}# user\r\n{{question}}\r\n---\r\nNow!"


def test_a_users_prompt_is_measured_by_its_path(bench, tmp_path):
    """Byte for byte the same but for the line; never the shipped prompt of the same id."""
    mine = tmp_path / "mine.md"
    mine.write_bytes(MINE.encode())
    run = bench(f"direct:prompt={mine} cot")
    told = output_of(app, "prompts", "measured", str(run))
    assert told.count("12") >= 2
    with pytest.raises(ConfigError, match="without another prompt named cot"):
        output_of(app, "prompts", "measured", str(run), "--into", str(tmp_path / "into"))
    written = write_worth(str(mine), worth(read(run))[str(mine)], tmp_path)
    line = [line for line in written.read_bytes().splitlines(keepends=True) if line.startswith(b"measured")]
    assert len(line) == 1
    assert written.read_bytes().replace(line[0], b"") == MINE.encode()
    assert prompts.load(str(written)).hash == prompts.load(str(mine)).hash
    mine.write_bytes(MINE.replace("Now", "Soon").encode())
    with pytest.raises(ConfigError, match="asked with"):
        worth(read(run))


def test_measurements_go_into_the_file_and_make_it_no_other_prompt():
    data = prompts.bytes_of("cot")
    others = [Measurement("a-model", 0.1, 0.0, 0.2, 3.0, 9, "easy, sums"), Measurement("b", 0.1, 0.0, 0.2, 3.0, 9, "x")]
    again = with_measurements(with_measurements(data, [TOLD, *others]), [TOLD])
    prompt, shipped = prompts.parse(again, "cot.md"), prompts.load("cot")
    assert prompt.measured == (*shipped.measured, *others, TOLD)
    assert (prompt.hash, prompt.turns) == (shipped.hash, shipped.turns)
    assert without_measurements(again) == without_measurements(data)


def test_the_command_adds_to_what_is_there(bench, tmp_path):
    into = tmp_path / "told"
    into.mkdir()
    (into / "cot.md").write_bytes(with_measurements(prompts.bytes_of("cot"), [TOLD]))
    told = output_of(app, "prompts", "measured", str(bench("direct cot")), "--into", str(into))
    first, second = prompts.load(str(into / "cot.md")).measured[-2:]
    assert first == TOLD
    assert second.told() in told
    assert second.told() in output_of(app, "prompts", "show", str(into / "cot.md"))
