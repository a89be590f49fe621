import json
import shutil

import pytest
from report_runs import ARMS, fake_config, fake_rows, write_run

from poise.errors import DataError
from poise.report.read import read


def test_no_run_and_no_grades_are_told_apart(tmp_path):
    with pytest.raises(DataError, match=r"config\.json"):
        read(tmp_path / "nothing")
    (tmp_path / "one.jsonl").write_text("{}\n")
    with pytest.raises(DataError, match=r"one\.jsonl: got 'no config\.json'; allowed: the directory of a bench"):
        read(tmp_path / "one.jsonl")
    write_run(tmp_path / "fresh", [], fake_config(ARMS, 5, []))
    with pytest.raises(DataError, match="no rows"):
        read(tmp_path / "fresh")


def test_an_unfinished_run_is_read_and_says_so(tmp_path):
    path = write_run(tmp_path, fake_rows(3), fake_config(ARMS, 60, [["direct", "cot"]]))
    with (path / "grades.jsonl").open("a") as grades:
        grades.write('{"item": "torn')
    reading = read(path)
    assert reading.notes[0] == "Unfinished: 12 of 240 rows; what follows is a partial report."
    assert len(reading.summary.comparisons) == 1


def test_a_broken_line_is_named(tmp_path, run_path):
    path = shutil.copytree(run_path, tmp_path / "run")
    with (path / "grades.jsonl").open("a") as grades:
        grades.write("{nonsense}\n")
    with pytest.raises(DataError, match=r"grades.jsonl, line 97"):
        read(path)


def test_examples_are_the_first_right_and_the_first_wrong_answer_of_each_arm(reading):
    for arm, rows in reading.by_arm().items():
        found = [example.row for example in reading.examples() if example.row.arm == arm]
        assert [row.correct for row in found] == [True, False]
        for row in found:
            assert row == next(r for r in rows if r.correct is row.correct and r.error is None)


def test_only_as_many_traces_are_read_as_needed(tmp_path, run_path, reading):
    path = shutil.copytree(run_path, tmp_path / "run")
    with (path / "traces.jsonl").open("a") as traces:
        traces.write("{broken but never reached}\n")
    assert read(path).examples() == reading.examples()


def test_a_broken_trace_costs_only_what_follows(tmp_path, run_path):
    path = shutil.copytree(run_path, tmp_path / "run")
    lines = (path / "traces.jsonl").read_text().splitlines(keepends=True)
    broken = json.dumps({**json.loads(lines[2]), "trace": {"version": 99}}) + "\n"
    (path / "traces.jsonl").write_text("".join([*lines[:2], broken, *lines[3:]]))
    assert len(read(path).examples()) <= 2


def test_what_was_run_in_a_few_words(reading):
    assert reading.title == "bakery, gsm_symbolic, leg_counting: 4 arms compared"
    assert reading.about == ("24 questions", "tiny-135M", "seed 7")
