"""How well scores tell right drafts from wrong ones, on runs whose scores are known."""

import json
from dataclasses import replace

import pytest
from report_runs import FakeArm, fake_config, fake_rows, write_run

from poise.core import Score
from poise.evals import stats
from poise.report.html import page
from poise.report.read import read
from poise.report.scored import HEADINGS, scored
from poise.trace import Drawn, Failed, Scored

N = 12
ARM = FakeArm("best_of_n:n=6", 6, 40, 0.5, cut=0, scorer="judge")
PLAIN = FakeArm("direct", 1, 12, 0.25)


def run(path, score, *, thinks=lambda step: False, arms=(ARM, PLAIN)):
    """Every draft of the first arm scored by whether it is right and its number."""
    graded = fake_rows(N, arms)
    for row, trace in graded:
        if row.arm != ARM.name:
            continue
        for place, event in enumerate(trace.events):
            if isinstance(event, Drawn) and thinks(event.step):
                trace.events[place] = replace(event, usage=replace(event.usage, thought_tokens=9))
        for event in list(trace.of(Drawn)):
            right = event.step.value.text == row.truth
            found = Score(score(right, event.step.id))
            trace.events.insert(-1, Scored(event.at, event.step.id, "judge", found))
    return write_run(path, graded, fake_config(arms, N, []))


def test_scores_that_are_the_truth_and_its_opposite(tmp_path):
    [right] = scored(read(run(tmp_path / "right", lambda right, _: float(right))))
    assert (right.arm, right.scorer, right.thinks) == (ARM.name, "judge", False)
    assert (right.auroc.mean, right.error) == (1.0, 0.0)
    assert 0 < right.questions <= N
    assert right.n <= 6 * N
    [wrong] = scored(read(run(tmp_path / "wrong", lambda right, _: float(not right))))
    assert (wrong.auroc.mean, wrong.error) == (0.0, 1.0)


def test_the_figure_is_that_of_the_drafts(tmp_path):
    """Read out of the files once more, by other code."""
    path = run(tmp_path / "run", lambda right, id: (7 * id % 5 + 3 * right) / 8)
    truth = {row.item: row.truth for row in read(path).rows}
    questions, scores, right = [], [], []
    for line in map(json.loads, (path / "traces.jsonl").read_text().splitlines()):
        events = line["trace"]["events"]
        values = {event["id"]: event.get("value") for event in events if event["event"] == "drawn"}
        for event in events:
            if event["event"] == "scored":
                questions.append(line["item"])
                scores.append(event["score"])
                right.append(values[event["step"]] == truth[line["item"]])
    [told] = scored(read(path))
    assert told.auroc.mean == pytest.approx(stats.auroc_within(questions, scores, right))
    assert told.auroc.low <= told.auroc.mean <= told.auroc.high
    assert told.error == pytest.approx(stats.calibration_error(scores, right))
    assert told.n == len(scores)


def test_drafts_with_thoughts_are_told_apart(tmp_path):
    path = run(tmp_path / "run", lambda right, id: float(right is (id % 2 == 0)), thinks=lambda step: step.id % 2 == 0)
    fast, thoughtful = scored(read(path))
    assert (fast.thinks, thoughtful.thinks) == (False, True)
    assert (fast.auroc.mean, thoughtful.auroc.mean) == (0.0, 1.0)


def test_what_failed_has_no_score(tmp_path):
    """A score that failed, and a draft that did."""
    path = run(tmp_path / "run", lambda right, _: float(right))
    whole = scored(read(path))[0].n
    graded = fake_rows(N, (ARM,))
    assert whole == 6 * N - sum(isinstance(event, Failed) for _, trace in graded for event in trace.events)
    lines = (path / "traces.jsonl").read_text().replace('"score":1.0', '"failure":"gone","score":1.0', 1)
    (path / "traces.jsonl").write_text(lines)
    assert scored(read(path))[0].n == whole - 1


def test_a_run_that_scores_nothing_has_no_table(tmp_path):
    path = write_run(tmp_path / "run", fake_rows(N, (PLAIN,)), fake_config((PLAIN,), N, []))
    assert scored(read(path)) == []
    assert "AUROC" not in page(read(path))


def test_the_page_shows_them(tmp_path):
    text = page(read(run(tmp_path / "run", lambda right, _: float(right))))
    assert all(heading in text for heading in HEADINGS)
    assert "1.000" in text


def test_one_kind_of_drafts_alone_tells_nothing(tmp_path):
    always = replace(ARM, skill=1.0)
    [told] = scored(read(run(tmp_path / "run", lambda right, _: 0.5, arms=(always,))))
    assert told.auroc is None
    assert told.questions == 0
    assert told.cells()[4:6] == ("-", "")


def test_a_broken_trace_costs_only_what_follows(tmp_path):
    path = run(tmp_path / "run", lambda right, _: float(right))
    whole = scored(read(path))
    with (path / "traces.jsonl").open("a") as traces:
        traces.write("{broken}\n")
    assert scored(read(path)) == whole
