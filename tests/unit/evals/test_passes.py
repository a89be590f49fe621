"""Oracle pass@k, against counting every subset."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from poise.costs import Usage
from poise.errors import ConfigError
from poise.evals.passes import Graded, pass_at_k, passes
from poise.evals.rows import Row

law = settings(deadline=None, max_examples=80)
counts = st.integers(1, 60).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n)))


def row(arm: str, item: str, correct: bool, error: str | None = None) -> Row:
    return Row(item, "sums", item, arm, "4", "4", "####", correct, True, None, 1, None, Usage(flops=1e9), error=error)


@law
@given(counts)
def test_pass_at_k_is_a_chance_that_rises_from_the_share_of_right_drafts(drafted: tuple[int, int]) -> None:
    n, right = drafted
    chances = [pass_at_k(n, right, k) for k in range(1, n + 1)]
    assert chances[0] == pytest.approx(right / n)
    assert chances == sorted(chances)
    assert all(0 <= chance <= 1 for chance in chances)
    assert chances[-1] == (1.0 if right else 0.0)


@law
@given(st.integers(1, 9).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n), st.integers(1, n))))
def test_pass_at_k_is_what_counting_every_choice_gives(drafted: tuple[int, int, int]) -> None:
    n, right, k = drafted
    choices = list(itertools.combinations([True] * right + [False] * (n - right), k))
    assert pass_at_k(n, right, k) == pytest.approx(sum(map(any, choices)) / len(choices))


@pytest.mark.parametrize(("n", "right", "k"), [(4, 5, 1), (4, -1, 1), (4, 2, 0), (4, 2, 5), (0, 0, 1)])
def test_impossible_counts_are_refused(n: int, right: int, k: int) -> None:
    with pytest.raises(ConfigError, match="pass@k"):
        pass_at_k(n, right, k)


def test_the_gap_is_against_the_arm_of_the_same_width_on_the_same_questions() -> None:
    rows = {
        "one": [row("one", "a", True), row("one", "b", False)],
        "three": [row("three", "a", True), row("three", "b", False), row("three", "c", True, error="EngineSilent")],
    }
    found = {each.k: each for each in passes({1: "one", 3: "three"}, rows, Graded(3, {"a": 3, "b": 1, "c": 0}))}
    assert list(found) == [1, 2, 3]
    assert found[1].share.mean == pytest.approx((1 + 1 / 3 + 0) / 3)
    assert found[1].gap is not None
    assert found[1].gap.mean == pytest.approx((1 + 1 / 3) / 2 - 1 / 2)  # c was not asked of one draft
    assert found[2].share.mean == pytest.approx((1 + 2 / 3) / 3)
    assert found[2].gap is None
    assert found[3].gap is not None
    assert found[3].gap.mean == pytest.approx(2 / 3 - 1 / 3)  # what failed was not right
    for each in found.values():
        assert each.share.low <= each.share.mean <= each.share.high


def test_intervals_are_seeded_and_nothing_graded_is_nothing() -> None:
    rows = {"two": [row("two", f"i{k}", k % 3 == 0) for k in range(30)]}
    graded = Graded(2, {f"i{k}": k % 3 for k in range(30)})
    assert passes({2: "two"}, rows, graded, seed=3) == passes({2: "two"}, rows, graded, seed=3)
    assert passes({2: "two"}, rows, graded, seed=3) != passes({2: "two"}, rows, graded, seed=4)
    assert passes({2: "two"}, rows, Graded(2, {})) == ()
