"""`poise prompts`."""

import json

import pytest
from commands import output_of

from poise import prompts
from poise.cli import app
from poise.errors import DataError, UnknownName


def run(*words):
    return output_of(app, "prompts", *words)


def test_every_prompt_is_listed():
    told = run("list")
    assert all(name in told for name in prompts.names())


def test_what_prompts_were_worth_is_listed_by_model_and_task_the_best_first():
    told = run("list").splitlines()
    known = {(each.model, each.task) for name in prompts.names() for each in prompts.load(name).measured}
    assert known
    for model, task in known:
        start = told.index(f"{model}, {task}") + 2
        shares = [float(line.split()[1]) for line in told[start : start + 8]]
        assert shares == sorted(shares, reverse=True)


def test_a_prompt_is_shown_as_it_is_written(tmp_path):
    assert run("show", "cot") == prompts.text_of("cot")
    mine = tmp_path / "mine.md"
    mine.write_text(prompts.text_of("cot").replace("id: cot", "id: mine"))
    assert run("show", str(mine)) == mine.read_text()
    told = run("diff", "cot", str(mine))
    assert "-id: cot" in told
    assert "+id: mine" in told


def test_exports_are_what_they_say():
    assert json.loads(run("export", "cot"))[-1]["content"].startswith("{question}")
    compile(run("export", "cot", "--as", "python", "--kind", "number"), "ask.py", "exec")
    assert "dspy.Signature" in run("export", "direct", "--as", "dspy")


@pytest.mark.parametrize("name", ["direct_few_shot", "cot_few_shot", "chain_of_draft_few_shot"])
@pytest.mark.parametrize("kind", ["number", "choice", "expression", "text"])
def test_examples_are_exported_as_turns(name, kind):
    words = ("export", name, "--kind", kind, "--as")
    told = json.loads(run(*words, "json"))
    assert [message["role"] for message in told] == ["system", *["user", "assistant"] * 6, "user"]
    assert told[-1]["content"] == "{question}"
    module = {}
    exec(run(*words, "python"), module)
    assert [*module["messages"]("Why?")[:-1], {"role": "user", "content": "Why?"}] == module["messages"]("Why?")
    assert run(*words, "dspy").count("dspy.Example(") == 6


def test_what_is_not_there_is_refused():
    with pytest.raises(UnknownName, match="did you mean 'cot'"):
        run("show", "cott")
    with pytest.raises(UnknownName, match="number"):
        run("export", "cot", "--kind", "numbers")
    with pytest.raises(DataError, match="prompt file"):
        run("show", "none.md")
