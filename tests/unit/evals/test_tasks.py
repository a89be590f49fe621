"""Specs, and reasoning-gym families."""

import sys
from pathlib import Path

import pytest

from poise.core import Kind
from poise.errors import ConfigError, UnknownName
from poise.evals.tasks import load_task

EASY = "chain_sum:min_terms=2,max_terms=2,min_digits=1,max_digits=1"


def test_knobs_shape_the_items_and_a_label_names_them() -> None:
    task = load_task(f"{EASY},label=two digits")
    item = task.items(1, seed=3)[0]
    assert task.name == item.task == "two digits"
    assert item.id == "two digits/3/0"
    assert (item.kind, item.cluster) == (Kind.NUMBER, item.id)
    assert load_task(EASY).name == EASY
    assert load_task("basic_arithmetic:operators=+,-").items(1, 0)[0].kind is Kind.NUMBER


def test_a_larger_limit_adds_items_and_changes_none() -> None:
    few, many = load_task("leg_counting").items(5, seed=2), load_task("leg_counting").items(30, seed=2)
    assert many[:5] == few
    assert len({item.id for item in many}) == len({item.question for item in many}) == 30


def test_neighbouring_seeds_share_nothing() -> None:
    task = load_task("chain_sum:min_terms=5")
    first, second = ({item.question for item in task.items(40, seed)} for seed in (1, 2))
    assert not first & second


def test_an_exhausted_family_gives_all_it_has() -> None:
    items = load_task(EASY).items(10_000, seed=0)
    assert len(items) == 200  # 10 x 10 digits, plus and minus


def test_templates_are_clusters_and_can_be_split() -> None:
    low = load_task("gsm_symbolic:templates=0-20,label=low").items(20, seed=0)
    high = load_task("gsm_symbolic:templates=21-99").items(20, seed=0)
    assert not {item.cluster for item in low} & {item.cluster for item in high}
    assert len({item.cluster for item in low}) < len(low)
    assert low[0].cluster.startswith("gsm_symbolic/template ")


def test_a_fresh_task_grades_what_another_made() -> None:
    item = load_task("number_sorting").items(700, seed=4)[-1]  # beyond the first page
    fresh = load_task("number_sorting")
    assert item.kind is Kind.TEXT
    assert fresh.grade(item, item.truth)
    assert fresh.grade(item, item.truth.replace("'", '"'))  # the family's own scorer reads lists
    assert not fresh.grade(item, item.truth[:-6] + "]")
    assert not fresh.grade(item, None)


@pytest.mark.parametrize(
    ("family", "value"),
    [
        ("gsm_symbolic", "-{truth}"),  # its scorer drops the sign
        ("game_of_life_halting", "perhaps"),  # its scorer takes any text but "true" for False
        ("prime_factorization", "no idea"),  # its scorer raises
    ],
)
def test_lax_and_brittle_scorers_are_not_believed(family: str, value: str) -> None:
    task = load_task(family)
    item = next(item for item in task.items(4, 0) if item.truth not in ("0", "True"))
    assert task.grade(item, item.truth)
    assert not task.grade(item, value.replace("{truth}", item.truth))


@pytest.mark.parametrize("family", ["spiral_matrix", "countdown", "polynomial_multiplication"])
def test_the_text_of_a_model_is_never_run(family: str, tmp_path: Path) -> None:
    task, trap = load_task(family), tmp_path / "ran"
    item = task.items(1, 0)[0]
    for value in (f"__import__('pathlib').Path({str(trap)!r}).touch()", "9**9**9", "9 * * 9", "[0]*9999999999"):
        assert not task.grade(item, value)
    assert not trap.exists()
    assert task.grade(item, item.truth)


def test_plain_arithmetic_still_reaches_a_scorer_that_evaluates() -> None:
    task = load_task("countdown")
    item = task.items(1, 0)[0]
    other_way = f"({item.truth}) - 0 * (1 + 1)"
    assert not task.grade(item, other_way)  # 0 and 1 are not among the numbers given
    assert task.grade(item, f"(({item.truth}))")


@pytest.mark.parametrize(
    ("spec", "error", "says"),
    [
        ("chain_summ", UnknownName, "did you mean 'chain_sum'"),
        ("chain_sum:min_term=2", UnknownName, "did you mean 'min_terms'"),
        ("chain_sum:seed=2", UnknownName, "'seed'"),
        ("chain_sum:min_terms=two", ConfigError, "chain_sum.min_terms: got 'two'; allowed: .*integer"),
        ("chain_sum:min_terms=5,max_terms=2", ConfigError, "max_terms must be >= min_terms"),
        ("chain_sum:min_terms", ConfigError, "name:key=value"),
        ("gsm_symbolic:templates=500", ConfigError, "templates that the family has"),
        ("gsm_symbolic:templates=9-2", ConfigError, "LOW-HIGH"),
        ("chain_sum:kind=nmber", UnknownName, "did you mean 'number'"),
        ("arc_agi:board_format_opts=3", ConfigError, "board_format_opts"),
        ("composite", ConfigError, "at least one dataset"),
        ("", ConfigError, "name"),
        (":a=b", ConfigError, "name"),
        ("bbh", ConfigError, "bbh:task=NAME"),
        ("jsonl", ConfigError, "jsonl:path=FILE"),
    ],
)
def test_bad_specs_say_what_would_do(spec: str, error: type[ConfigError], says: str) -> None:
    with pytest.raises(error, match=says):
        load_task(spec)


def test_without_reasoning_gym_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "reasoning_gym.factory", None)
    with pytest.raises(ConfigError, match=r"poise\[local\]"):
        load_task("chain_sum")


@pytest.mark.parametrize(("limit", "seed"), [(0, 0), (-1, 0), (1, -1)])
def test_limits_and_seeds_below_their_floor(limit: int, seed: int) -> None:
    with pytest.raises(ConfigError):
        load_task(EASY).items(limit, seed)
