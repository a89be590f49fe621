"""Tasks from files with faults, and from a hub that may not be there."""

import json
import logging
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from poise.core import Kind
from poise.errors import ConfigError, DataError
from poise.evals.rows import Item
from poise.evals.task_spec import kind_of
from poise.evals.tasks import load_task


def lines(path: Path, *rows: object) -> Path:
    """A JSONL file; strings are written as they are."""
    path.write_text("\n".join(r if isinstance(r, str) else json.dumps(r) for r in rows), encoding="utf-8")
    return path


def qa(question: str, answer: object, **more: object) -> dict[str, object]:
    return {"question": question, "answer": answer, **more}


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
        '{"question": "no number?", "answer": NaN}',
        '{"question": "endless?", "answer": -Infinity}',
        qa("nothing?", None),
    )
    with caplog.at_level(logging.WARNING):
        task = load_task(str(path))
    assert {item.question for item in task.items(99, 0)} == {"fine?", "again?", "also fine?"}
    assert [error.line for error in task.rejected] == [2, 3, 4, 5, 6, 7, 8, 9, 11, 13, 14, 15]
    assert "bad.jsonl, line 2: " in caplog.text
    assert "12 lines left out in all" in caplog.text
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
