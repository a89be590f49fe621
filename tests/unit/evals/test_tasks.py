"""Specs, reasoning-gym families, files with faults, and a hub that is not there."""

import json
import logging
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from poise.core import Kind
from poise.errors import ConfigError, DataError, UnknownName
from poise.evals.rows import Item
from poise.evals.task_spec import kind_of
from poise.evals.tasks import load_task

EASY = "chain_sum:min_terms=2,max_terms=2,min_digits=1,max_digits=1"


def lines(path: Path, *rows: object) -> Path:
    """A JSONL file; strings are written as they are."""
    path.write_text("\n".join(r if isinstance(r, str) else json.dumps(r) for r in rows), encoding="utf-8")
    return path


def qa(question: str, answer: object, **more: object) -> dict[str, object]:
    return {"question": question, "answer": answer, **more}


# ---- reasoning-gym


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


# ---- files


def test_a_file_of_questions(tmp_path: Path) -> None:
    path = lines(
        tmp_path / "mine.jsonl",
        qa("1+1?", 2),
        qa("Which?", "(B)"),
        qa("Sure?", True, kind="text", id="sure", cluster="yes/no"),
        "",
        qa("x^2?", "2x", kind="expression"),
    )
    task = load_task(str(path))
    assert task.name == "mine"
    assert sorted(task.items(99, 0), key=lambda item: item.question) == [
        Item("mine/1", "mine", "1+1?", "2", Kind.NUMBER, "mine/1"),
        Item("mine/sure", "mine", "Sure?", "true", Kind.TEXT, "mine/yes/no"),
        Item("mine/2", "mine", "Which?", "(B)", Kind.CHOICE, "mine/2"),
        Item("mine/5", "mine", "x^2?", "2x", Kind.EXPRESSION, "mine/5"),
    ]
    choice = next(item for item in task.items(9, 0) if item.kind is Kind.CHOICE)
    assert task.grade(choice, "B")
    assert not task.grade(choice, "C")
    assert not task.grade(choice, None)


def test_a_seed_shuffles_and_a_limit_cuts(tmp_path: Path) -> None:
    task = load_task(str(lines(tmp_path / "n.jsonl", *(qa(f"{n}?", n) for n in range(50)))))
    assert task.items(10, 1) == task.items(50, 1)[:10]
    assert task.items(50, 1) != task.items(50, 2)
    assert set(task.items(500, 1)) == set(task.items(50, 2))


def test_lines_keep_calibration_and_test_apart(tmp_path: Path) -> None:
    path = lines(tmp_path / "a, b.jsonl", *(qa(f"{n}?", n) for n in range(1, 11)))
    task = load_task(f"jsonl:path={path},lines=3-5,label=part,kind=text")
    assert sorted(item.truth for item in task.items(99, 0)) == ["3", "4", "5"]
    assert {item.kind for item in task.items(99, 0)} == {Kind.TEXT}
    assert task.name == "part"


def test_bad_lines_are_named_and_the_rest_is_kept(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = lines(
        tmp_path / "bad.jsonl",
        qa("fine?", 1),
        '{"question": "cut',
        "[1, 2]",
        {"question": "no answer?"},
        qa("  ", 1),
        qa("list?", [1]),
        qa("kind?", 1, kind="nmber"),
        '{"question": "\\ud800", "answer": "half a pair"}',
        "[" * 100_000,
        qa("again?", 1, id="x"),
        qa("again?", 2, id="x"),
        qa("also fine?", 2),
    )
    with caplog.at_level(logging.WARNING):
        task = load_task(str(path))
    assert {item.question for item in task.items(99, 0)} == {"fine?", "again?", "also fine?"}
    assert [error.line for error in task.rejected] == [2, 3, 4, 5, 6, 7, 8, 9, 11]
    assert "bad.jsonl, line 2: " in caplog.text
    assert "9 lines left out in all" in caplog.text
    assert "did you mean 'number'" in str(task.rejected[5])


def test_a_file_without_a_good_line_says_what_is_wrong_with_the_first(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="line 1"):
        load_task(str(lines(tmp_path / "bad.jsonl", "nonsense")))
    with pytest.raises(DataError, match="at least one line"):
        load_task(str(lines(tmp_path / "empty.jsonl")))


def test_a_byte_that_is_not_utf8_is_found(tmp_path: Path) -> None:
    path = tmp_path / "latin.jsonl"
    path.write_bytes(json.dumps(qa("ok?", 1)).encode() + b'\n{"question": "caf\xe9", "answer": 1}\n')
    with pytest.raises(DataError, match=r"line 2: got 'byte \d+ is not UTF-8'") as caught:
        load_task(str(path))
    assert caught.value.line == 2


def test_marks_that_editors_leave_are_harmless(tmp_path: Path) -> None:
    path = tmp_path / "windows.jsonl"
    path.write_bytes(b'\xef\xbb\xbf{"question": "a\xe2\x80\xa8b?", "answer": "1"}\r\n\r\n')
    assert load_task(str(path)).items(1, 0)[0].question == "a\u2028b?"


@pytest.mark.parametrize("name", ["missing.jsonl", "", "nul\0.jsonl"])
def test_an_unreadable_file(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match="a readable file"):
        load_task(f"jsonl:path={tmp_path}/{name}")


def test_gsm8k_takes_what_follows_the_hashes(tmp_path: Path) -> None:
    path = lines(tmp_path / "g.jsonl", qa("How much?", "1 + 1 = 2\n#### $1,002"), qa("Worked?", "no hashes"))
    task = load_task(f"gsm8k:path={path}")
    assert [(item.truth, item.kind) for item in task.items(9, 0)] == [("1002", Kind.NUMBER)]
    assert "####" in str(task.rejected[0])


@pytest.mark.parametrize(
    ("truth", "kind"),
    [
        *((number, Kind.NUMBER) for number in ("12", "-3.5", "1,200", ".5", "8.05e-06", "+4")),
        *((text, Kind.TEXT) for text in ("", ".", "1,20", "nan", "1 2", "1/2", "Yes", "B", "] ]", "-", "12:30")),
        ("(B)", Kind.CHOICE),
    ],
)
def test_the_kind_that_a_truth_looks_like(truth: str, kind: Kind) -> None:
    assert kind_of(truth) is kind


# ---- the hub


def hub(monkeypatch: pytest.MonkeyPatch, answer: object) -> list[tuple[object, ...]]:
    """A `datasets` package that records what is asked of it."""
    asked: list[tuple[object, ...]] = []

    def load_dataset(name: str, config: str, split: str) -> object:
        asked.append((name, config, split))
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setitem(sys.modules, "datasets", SimpleNamespace(load_dataset=load_dataset))
    return asked


def test_hub_tasks_ask_for_their_split(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = hub(monkeypatch, [{"input": "Do you return?", "target": "No"}])
    assert load_task("bbh:task=navigate").items(1, 0)[0].truth == "No"
    hub_rows = [qa("How many?", "#### 3"), qa("And now?", "#### 4")]
    asked += hub(monkeypatch, hub_rows)
    assert len(load_task("gsm8k").items(9, 0)) == 2
    assert asked == [("SaylorTwift/bbh", "navigate", "test")]


def test_a_hub_out_of_reach_is_a_data_error(monkeypatch: pytest.MonkeyPatch) -> None:
    hub(monkeypatch, ConnectionError("Couldn't reach it"))
    with pytest.raises(DataError, match=r"openai/gsm8k: got \"Couldn't reach it\"; .*path=FILE.jsonl"):
        load_task("gsm8k")
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(ConfigError, match="pip install datasets"):
        load_task("gsm8k")


# ---- public data


def test_gsm8k_and_bbh_files_load_whole(data: Path) -> None:
    test = load_task(f"gsm8k:path={data / 'gsm8k' / 'test.jsonl'}")
    assert len(test.items(10_000, 0)) == 660
    assert not test.rejected
    assert {item.kind for item in test.items(10_000, 0)} == {Kind.NUMBER}
    kinds = {}
    for path in sorted((data / "bbh").glob("*.jsonl")):
        task = load_task(f"bbh:path={path}")
        assert not task.rejected
        items = task.items(10_000, 0)
        assert all(task.grade(item, item.truth) for item in items)
        kinds[task.name] = {item.kind for item in items}
    assert len(kinds) == 27
    assert kinds["date_understanding"] == {Kind.CHOICE}
    assert kinds["object_counting"] == {Kind.NUMBER}
    assert kinds["navigate"] == kinds["dyck_languages"] == {Kind.TEXT}
