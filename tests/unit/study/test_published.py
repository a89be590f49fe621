"""The published study's logs, replayed: exact figures, and clear words for what is no log."""

import io
import json
import os
from pathlib import Path

import pytest
from rich.console import Console

from poise.errors import DataError
from poise.study.published import agreement, majority, paired, passed, read_log, read_logs, stopped
from poise.study.published_tables import figures, show

LOGS = Path(os.environ.get("POISE_TEST_DATA", ""), "seed_study")


def vote(answer, seconds=1.0):
    return {"answer": answer, "claimed_flops": 1e12, "seconds": seconds}


def line(id, truth, answers, correct=False):
    return json.dumps({"id": id, "truth": truth, "votes": [vote(a) for a in answers], "logged_correct": correct})


def written(path, *lines):
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture
def log(tmp_path):
    lines = [line(0, "7", ["7", "8", "7"], True), line(1, "5", ["4", None, "5"]), line(2, "1", [None, None, None])]
    return read_log(written(tmp_path / "plain_votes.jsonl", *lines))


def items(log):
    return list(log.items.values())


def test_a_majority_is_a_mean_over_orders_with_ties_at_random(log):
    assert majority(items(log), 1) == pytest.approx((2 / 3 + 1 / 3 + 0) / 3)
    assert majority(items(log), 2) == pytest.approx(((1 + 0.5 + 0.5) / 3 + (0 + 0.5 + 1) / 3 + 0) / 3)
    assert majority(items(log), 3) == pytest.approx((1 + 0.5 + 0) / 3)


def test_passing_is_having_one_right_draw(log):
    assert [passed(items(log), k) for k in (1, 2, 3)] == pytest.approx([1 / 3, (1 + 2 / 3) / 3, 2 / 3])


def test_a_stop_at_two_that_agree(log):
    accuracy, seconds = stopped(items(log), 2)
    assert accuracy == pytest.approx((1 + 0.5 + 0) / 3)
    assert seconds == pytest.approx(((2 + 3 + 3) / 3 + 3 + 3) / 3)  # 7 7 first in two of the six orders


def test_agreement_counts_the_most_common_answer(log):
    assert agreement(items(log)) == {0: (0, 1), 1: (0, 1), 2: (1, 1)}


def test_pairs_go_by_the_id(tmp_path, log):
    other = read_log(written(tmp_path / "b_votes.jsonl", line(1, "5", ["5"], True), line(0, "7", ["8"])))
    assert paired(log, other) == (1, 1, 1.0)
    assert log.name == "plain"


def test_leaves_have_answers_and_no_seconds_of_their_own(tmp_path):
    leaves = [{"answer": 3, "score": 0.5, "step_scores": [0.5]}, {"answer": None, "score": 0.1, "step_scores": []}]
    told = {"id": 4, "truth": "3", "leaves": leaves, "total_flops": 2e12, "seconds": 9.0, "logged_correct": True}
    log = read_log(written(tmp_path / "tree_leaves.jsonl", json.dumps(told)))
    assert (log.oracle(), log.means(), log.name) == (1, (9.0, 2e12), "tree")


@pytest.mark.parametrize(
    ("lines", "number"),
    [
        (["{"], 1),
        ([line(0, "1", ["1"]), "[]"], 2),
        ([line(0, "1", ["1"]), json.dumps({"id": 1, "truth": "2", "logged_correct": True})], 2),
        ([line(0, "1", ["1"]), line(0, "1", ["1"])], 2),
    ],
)
def test_a_line_that_is_none_is_named(tmp_path, lines, number):
    with pytest.raises(DataError, match=f"line {number}"):
        read_log(written(tmp_path / "a_votes.jsonl", *lines))


def test_a_folder_without_logs_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"_votes\.jsonl"):
        read_logs(tmp_path)


@pytest.mark.skipif("POISE_TEST_DATA" not in os.environ, reason="POISE_TEST_DATA is not set")
def test_the_published_figures_come_out():
    logs = {log.name: log for log in read_logs(LOGS)}
    for row in figures():
        log = logs[row.name]
        assert (sum(item.correct for item in items(log)), len(items(log))) == (row.correct, row.items)
        seconds, flops = log.means()
        assert seconds == pytest.approx(row.seconds, abs=0.06)
        assert flops / 1e12 == pytest.approx(row.teraflops, abs=0.006)
    quiet = items(logs["quietstar"])
    curve = [100 * majority(quiet, k) for k in range(1, 7)]
    assert curve == pytest.approx([20.7, 21.1, 24.2, 27.5, 30.7, 33.1], abs=0.1)
    assert 100 * passed(quiet, 6) == pytest.approx(63.3, abs=0.1)
    accuracy, seconds = stopped(quiet, 2)
    assert (100 * accuracy, seconds) == (pytest.approx(33.1, abs=0.15), pytest.approx(457, abs=0.5))
    assert agreement(quiet) == {1: (4, 54), 2: (17, 49), 3: (9, 14), 4: (7, 7), 5: (4, 4)}
    assert paired(logs["quietstar"], logs["baseline"])[2] == pytest.approx(2e-6, rel=0.05)
    assert paired(logs["combined_w6"], logs["rebase_w3"])[2] == pytest.approx(0.77, abs=0.01)
    assert logs["combined_w6"].oracle() == 31


def test_the_tables_name_every_configuration(log):
    console = Console(width=150, record=True, file=io.StringIO())
    show([log, log], console)
    said = console.export_text()
    assert "plain" in said
    assert "until 2 agree" in said
