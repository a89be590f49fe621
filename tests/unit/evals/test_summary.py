"""Summaries of rows made by hand."""

import dataclasses
import math
import random
import time

import pytest

from poise.costs import Usage
from poise.errors import ConfigError, UnknownName
from poise.evals.energy import WATTS_PER_BUSY_CORE
from poise.evals.rows import Interval, Row
from poise.evals.summary import summarise


def row(arm: str, item: str, correct: bool, *, flops: float = 1e9, **more: object) -> Row:
    usage = Usage(calls=1, prompt_tokens=20, new_tokens=10, seconds=0.5, busy_seconds=2.0, flops=flops)
    made = Row(item, "sums", item, arm, "4", "4", "####", correct, True, None, 1, None, usage)
    return dataclasses.replace(made, **more)  # type: ignore[arg-type]


def grid(marks: dict[str, str], flops: dict[str, float]) -> list[Row]:
    """Rows from a string of x (right) and . (wrong) per arm."""
    return [
        row(arm, f"i{place}", mark == "x", flops=flops[arm])
        for arm, line in marks.items()
        for place, mark in enumerate(line)
    ]


MARKS = {"direct": "xxx.......", "vote": "xxxxxx....", "beam": ".xxxx....."}
FLOPS = {"direct": 2e9, "vote": 5e10, "beam": 9e10}


def test_arms_are_counted_and_placed() -> None:
    summary = summarise(grid(MARKS, FLOPS))
    direct, vote, beam = summary.arms
    assert [arm.arm for arm in summary.arms] == ["direct", "vote", "beam"]
    assert (direct.n, direct.correct, direct.failed, direct.accuracy.mean) == (10, 3, 0, 0.3)
    assert direct.accuracy.low == pytest.approx(0.1078, abs=1e-4)  # Wilson
    assert (direct.new_tokens, direct.prompt_tokens) == (Interval(10, 10, 10), 20)
    assert vote.flops == Interval(5e10, 5e10, 5e10)
    assert (direct.seconds.p50, direct.busy_seconds, direct.tokens_per_second) == (0.5, 2.0, 20.0)
    assert summary.frontier == ("direct", "vote")
    assert [arm.on_frontier for arm in summary.arms] == [True, True, False]
    assert beam.hull_gap == pytest.approx(0.4 - 0.6)
    assert vote.hull_gap == pytest.approx(0.6 - (0.3 + 0.1 * 48 / 88))
    assert direct.hull_gap == 0
    assert summary.oracle == 0.6
    assert summary.cost == "flops"


def test_hypervolume_is_against_the_next_power_of_ten() -> None:
    summary = summarise(grid(MARKS, FLOPS))
    assert summary.reference == 1e11
    expected = 0.3 * math.log10(5e10 / 2e9) + 0.6 * math.log10(1e11 / 5e10)
    assert summary.hypervolume.mean == pytest.approx(expected)
    assert summary.hypervolume.low < expected < summary.hypervolume.high


def test_only_named_comparisons_are_made_and_holm_counts_them() -> None:
    rows = grid(MARKS, FLOPS)
    assert summarise(rows).comparisons == ()
    first, second = summarise(rows, compare=[("vote", "direct"), ("beam", "vote")]).comparisons
    assert (first.only_first, first.only_second, first.n) == (3, 0, 10)
    assert first.p_value == pytest.approx(0.25)
    assert (second.only_first, second.only_second) == (0, 2)
    assert (first.p_holm, second.p_holm) == pytest.approx((0.5, 0.5))
    assert first.difference.mean == pytest.approx(0.3)
    assert first.difference.low <= 0.3 <= first.difference.high
    assert first.cost_ratio.mean == pytest.approx(25)


def test_a_failed_row_is_wrong_at_the_cost_it_had() -> None:
    rows = [row("direct", "a", True), row("direct", "b", True, error="EngineSilent", complete=False, value=None)]
    arm = summarise(rows).arms[0]
    assert (arm.correct, arm.failed, arm.accuracy.mean, arm.completion.mean) == (1, 1, 0.5, 0.5)
    assert arm.flops.mean == 1e9


def test_arms_meet_only_on_the_items_that_all_answered() -> None:
    rows = [*grid({"direct": "xx..", "vote": "xxxx"}, FLOPS), *grid({"late": ".x"}, {"late": 1e12})]
    summary = summarise(rows, compare=[("vote", "direct")])
    assert [arm.n for arm in summary.arms] == [4, 4, 2]
    assert summary.comparisons[0].n == 2
    assert summary.comparisons[0].difference.mean == 0
    assert summary.frontier == ("direct",)  # on the two shared items, voting only costs more


def test_arms_without_a_common_item_have_no_frontier() -> None:
    summary = summarise([row("a", "1", True), row("b", "2", True)], compare=[("a", "b")])
    assert (summary.frontier, summary.hypervolume, summary.oracle) == ((), Interval(0, 0, 0), 0)
    assert summary.comparisons[0].n == 0
    assert summary.comparisons[0].p_value == 1
    assert [arm.accuracy.mean for arm in summary.arms] == [1, 1]


def test_without_flops_the_axis_is_generated_tokens_seen_or_not() -> None:
    rows = grid({"direct": "x.", "vote": "xx"}, {"direct": 0.0, "vote": 1e9})
    spent = Usage(prompt_tokens=20, new_tokens=10, overrun_tokens=4, scorer_tokens=6)
    rows = [dataclasses.replace(r, usage=spent) if r.arm == "vote" else r for r in rows]
    summary = summarise(rows, compare=[("vote", "direct")])
    assert summary.cost == "new_tokens"
    assert summary.arms[1].new_tokens.mean == 20
    assert summary.reference == 100
    assert summary.comparisons[0].cost_ratio.mean == pytest.approx(2)


def test_free_arms_have_no_logarithm() -> None:
    rows = [dataclasses.replace(r, usage=Usage()) for r in grid({"a": "x.", "b": "xx"}, {"a": 0.0, "b": 0.0})]
    summary = summarise(rows, compare=[("a", "b")])
    assert (summary.reference, summary.hypervolume) == (0, Interval(0, 0, 0))
    assert summary.comparisons[0].cost_ratio == Interval(0, 0, 0)
    assert summary.arms[0].tokens_per_second == 0


def test_items_of_one_template_widen_the_intervals() -> None:
    rng = random.Random(0)
    rows = []
    for template in range(12):
        mark, cost = template % 2 == 0, rng.uniform(1e9, 1e10)
        rows += [row("a", f"{template}/{copy}", mark, flops=cost, cluster=f"t{template}") for copy in range(10)]
    together = summarise(rows).arms[0].flops
    apart = summarise([dataclasses.replace(r, cluster=r.item) for r in rows]).arms[0].flops
    assert together.high - together.low > 2 * (apart.high - apart.low)


def test_tasks_and_first_tokens_apart() -> None:
    rows = [
        row("a", "1", True, first_token_seconds=0.2),
        row("a", "2", False, task="gcd", first_token_seconds=0.4),
        row("a", "3", False),
    ]
    arm = summarise(rows).arms[0]
    assert [(score.task, score.n, score.accuracy.mean) for score in arm.tasks] == [("sums", 2, 0.5), ("gcd", 1, 0)]
    assert arm.first_token_seconds == pytest.approx(0.3)
    assert summarise([row("a", "1", True)]).arms[0].first_token_seconds is None


def test_arms_that_no_item_tells_apart_may_still_differ():
    rows = grid({"a": "xx..xx", "b": "xx..xx"}, {"a": 1e9, "b": 2e9})
    [found] = summarise(rows, compare=[("a", "b")]).comparisons
    assert found.difference.mean == 0
    assert found.difference.high == -found.difference.low == pytest.approx(1 - 0.025 ** (1 / 6))
    assert found.p_value == 1


def test_reads_are_averaged_over_what_is_known() -> None:
    reads = [1.0, 2.0, None]
    rows = [row("a", f"i{place}", True, prefix_reads=read) for place, read in enumerate(reads)]
    assert summarise(rows).arms[0].prefix_reads == pytest.approx(1.5)
    assert summarise([row("a", "i", True)]).arms[0].prefix_reads is None


def test_measured_joules_are_shared_out_by_work_and_estimates_are_flagged() -> None:
    rows = grid({"a": "x.", "b": "xx"}, {"a": 1e9, "b": 1e9})
    rows[0] = dataclasses.replace(rows[0], usage=dataclasses.replace(rows[0].usage, busy_seconds=4.0))
    estimated, measured = summarise(rows), summarise(rows, joules=50.0)
    assert not estimated.energy_measured
    assert estimated.arms[1].joules == pytest.approx(2 * WATTS_PER_BUSY_CORE)
    assert measured.energy_measured
    assert [arm.joules for arm in measured.arms] == pytest.approx([15, 10])
    assert sum(arm.joules * arm.n for arm in measured.arms) == pytest.approx(50)


def test_of_repeated_rows_the_last_counts_and_their_order_does_not() -> None:
    rows = grid(MARKS, FLOPS)
    again = summarise([row("direct", "i9", True, flops=2e9), *rows])
    assert again == summarise(rows)
    shuffled = sorted(rows, key=lambda r: (r.arm != "direct", r.arm != "vote", r.item), reverse=False)
    assert summarise(shuffled, compare=[("vote", "beam")]) == summarise(rows, compare=[("vote", "beam")])


def test_nothing_and_unknown_arms_are_refused() -> None:
    with pytest.raises(ConfigError, match="rows"):
        summarise([])
    with pytest.raises(UnknownName, match="did you mean 'vote'"):
        summarise(grid(MARKS, FLOPS), compare=[("votes", "direct")])


def test_time_is_linear_in_rows() -> None:
    usage = Usage(new_tokens=10, flops=1e9, seconds=0.1, busy_seconds=0.1)
    rows = [
        Row(f"i{item}", "t", f"c{item}", f"a{arm}", "1", "1", None, (item + arm) % 3 == 0, True, None, 1, None, usage)
        for arm in range(10)
        for item in range(1000)
    ]
    start = time.process_time()
    assert len(summarise(rows, compare=[("a0", "a1")]).arms) == 10
    assert time.process_time() - start < 2.5  # 100,000 rows take 3 seconds; a square of rows would take minutes
