"""Plain text as a source of examples."""

import json

import pytest
import tiny

from poise.errors import ConfigError, DataError
from poise.lab.batches import encoded
from poise.lab.data import examples_of
from poise.lab.recipe import Source
from poise.lab.texts import documents


def test_documents_are_parts_between_blank_lines_or_lines_of_json(tmp_path):
    plain, lines = tmp_path / "a.txt", tmp_path / "a.jsonl"
    plain.write_text("one\ntwo\n\n\nthree\n")
    lines.write_text("".join(json.dumps({"text": text}) + "\n" for text in ("one\ntwo", "three", " ")))
    assert documents(f"text:path={plain}") == documents(f"text:path={lines}") == ["one\ntwo", "three"]


@pytest.mark.parametrize(("line", "number"), [("{", 2), ('{"txt": "a"}', 2), ('{"text": 3}', 2), ("[]", 2)])
def test_a_line_that_is_none_is_named(tmp_path, line, number):
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "one"}\n' + line + "\n")
    with pytest.raises(DataError, match=f"line {number}"):
        documents(f"text:path={path}")


def test_what_cannot_be_read_is_refused(tmp_path):
    (tmp_path / "empty.txt").write_text("\n\n")
    with pytest.raises(DataError, match="no text"):
        documents(f"text:path={tmp_path / 'empty.txt'}")
    with pytest.raises(DataError, match="UTF-8"):
        documents(f"text:path={tmp_path / 'none.txt'}")
    with pytest.raises(ConfigError, match="text:path=FILE"):
        documents("text:file=a.txt")


def test_text_becomes_spans_and_some_is_held_out(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("\n\n".join(f"document {number} " + "x" * 50 for number in range(10)))
    recipe = tiny.recipe(sources=(Source(f"text:path={path}", 6, validation=2),))
    examples = examples_of(recipe, {})
    assert (len(examples.training), len(examples.validation)) == (6, 2)
    assert not {one.answer for one in examples.training} & {one.answer for one in examples.validation}
    rows = encoded(examples.training, tiny.tokenizer(), 40)
    assert {row.start for row in rows} == {1}
    assert max(len(row.tokens) for row in rows) == 40
    assert sum(len(row.tokens) for row in rows) == sum(len(one.answer) for one in examples.training)


def test_a_file_can_be_named_beside_the_recipe(tmp_path):
    path = tmp_path / "b.txt"
    path.write_text("one\n\ntwo\n\nthree")
    recipe = tiny.recipe(sources=(Source("text:path=elsewhere.jsonl", 3),))
    assert len(examples_of(recipe, {"text": str(path)}).training) == 3
