"""Exports for dspy, and what tuning takes of it, with dspy itself. It is no dependency, not even of the tests: where it
is missing these skip, and test_prompts.py has a stand-in."""

import inspect
import warnings

import pytest

from poise import prompts
from poise.core import Kind, Request, Role
from poise.prompts.export import as_dspy

QUESTION = "What is {17} + 25?"
TUNED = "Think {step} by step.\n\n  1. Add.\n  2. Say \\boxed{42}.\n"


@pytest.fixture(scope="module")
def dspy():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what it imports
        return pytest.importorskip("dspy")


def asked(dspy, predict, answer="42"):
    """What a program answers, and the messages that the model was asked."""
    model = dspy.utils.DummyLM([{"answer": answer}])
    with dspy.context(lm=model):
        told = predict(question=QUESTION)
    return told.answer, model.history[-1]["messages"]


def program(prompt, kind):
    module = {}
    exec(as_dspy(prompt, kind), module)
    return module["predict"]


@pytest.mark.parametrize("name", prompts.names())
@pytest.mark.parametrize("kind", [Kind.NUMBER, Kind.TEXT])
def test_an_export_asks_what_the_prompt_asks(dspy, name, kind):
    """All that the prompt tells is in the system message, its examples are turns, and the question is the last one."""
    *before, last = prompts.load(name).render(Request.ask(QUESTION, kind))
    system = [turn.text for turn in before if turn.role is Role.SYSTEM]
    shots = [turn.text for turn in before if turn.role is not Role.SYSTEM]
    answer, messages = asked(dspy, program(prompts.load(name), kind))
    assert answer == "42"
    assert [message["role"] for message in messages] == ["system", *["user", "assistant"] * (len(shots) // 2), "user"]
    told = [line.strip() for line in messages[0]["content"].splitlines()]
    for text in (*system, last.text.removeprefix(QUESTION)):
        assert {line.strip() for line in text.splitlines()} <= {*told, ""}
    for shot, message in zip(shots, messages[1:-1], strict=True):
        assert shot in message["content"]
    assert QUESTION in messages[-1]["content"]
    assert "\ufffc" not in "".join(message["content"] for message in messages)


def test_a_tuned_prompt_comes_through_but_for_indentation(dspy):
    from poise.tune.emit import prompt_file, tidy

    found = prompts.parse(prompt_file("tuned", tidy(TUNED), "Think.").encode(), "tuned.md")
    predict = program(found, Kind.NUMBER)
    assert predict.signature.instructions == inspect.cleandoc(tidy(TUNED)), "dspy takes common indentation away"
    _, messages = asked(dspy, predict)
    told = "\n".join(line.strip() for line in messages[0]["content"].splitlines())
    assert "\n".join(line.strip() for line in tidy(TUNED).splitlines()) in told


def test_tuning_takes_its_programs_examples_and_metrics(dspy):
    from poise.tune.compiled import starting
    from poise.tune.examples import problem_of

    signature = dspy.Signature("question -> answer", "Reason aloud.")
    assert starting(dspy.Predict(signature)) == starting(dspy.ChainOfThought(signature).predict) == "Reason aloud."
    examples = [dspy.Example(question=f"What is {k} + 1?", answer=f"{k + 1}").with_inputs("question") for k in range(6)]
    problem = problem_of(dspy.evaluate.answer_exact_match, examples, None, 0)
    assert len(problem.learn) == len(problem.judge) == 3
    for item in (*problem.learn, *problem.judge):
        assert problem.task.grade(item, item.truth)
        assert not problem.task.grade(item, "0")
