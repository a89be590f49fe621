"""Examples of any shape at the edge, and metrics of the dspy kind as tasks."""

import logging

import pytest
from scripted_task import WORD, engine, sums

from poise.core import Kind, Sampling
from poise.errors import ConfigError, ScorerError
from poise.evals.rows import Item
from poise.evals.tasks import load_task
from poise.tune.examples import problem_of, read
from poise.tune.generate import generated
from poise.tune.metric import MetricTask, Prediction
from poise.tune.placing import messages


class Shown:
    """As dspy's Example: fields are attributes."""

    def __init__(self, **fields):
        self.__dict__.update(fields)


def exact(example, prediction, trace=None):
    return example.answer == prediction.answer


def test_mappings_objects_and_items_become_items():
    item = Item("own", "mine", "Q?", "yes", Kind.TEXT, "own")
    given = [{"question": " What is 1 + 1? ", "answer": 2}, Shown(question="Which?", answer="(B)"), item]
    one, two, three = (each.item for each in read(given, "trainset"))
    assert (one.question, one.truth, one.kind) == ("What is 1 + 1?", "2", Kind.NUMBER)
    assert two.kind is Kind.CHOICE
    assert three is item
    [named] = read([{"question": "Q", "answer": "4", "kind": "text", "cluster": "c"}], "trainset")
    assert (named.item.kind, named.item.cluster) == (Kind.TEXT, "c")


@pytest.mark.parametrize(
    ("examples", "field", "allowed"),
    [
        ([], "trainset", "at least one example"),
        ("text", "trainset", "a list"),
        ({"question": "Q", "answer": "a"}, "trainset", "a list"),
        (7, "trainset", "a list"),
        ([{"question": "Q", "answer": "a"}, {"question": "R"}], r"trainset\[1\]\.answer", "not empty"),
        ([{"question": "  ", "answer": "a"}], r"trainset\[0\]\.question", "not empty"),
        ([{"question": ["Q"], "answer": "a"}], r"trainset\[0\]\.question", "text"),
        ([{"question": "Q", "answer": True}], r"trainset\[0\]\.answer", "text"),
        ([{"question": "Q\ud800", "answer": "a"}], r"trainset\[0\]\.question", "text"),
        ([{"question": "Q", "answer": "a", "kind": "colour"}], r"trainset\[0\]\.kind", "number"),
        ([{"question": "Q", "answer": "a"}, {"question": "Q", "answer": "b"}], r"trainset\[1\]\.answer", "before"),
        ([Shown(question="Q")], r"trainset\[0\]\.answer", "not empty"),
    ],
)
def test_errors_name_the_set_the_row_and_the_field(examples, field, allowed):
    with pytest.raises(ConfigError, match=rf"^{field}: .*{allowed}"):
        read(examples, "trainset")


def test_a_set_that_judges_shares_no_question_with_one_that_teaches():
    made = problem_of(exact, sums(4), sums(6, 10), 0)
    assert (len(made.learn), len(made.judge)) == (4, 6)
    with pytest.raises(ConfigError, match=r"^judge: .*not in 'learn' too"):
        problem_of(exact, sums(4), sums(4, 3), 0)


def test_without_a_valset_half_judges_and_the_seed_picks_it():
    halves = [problem_of(exact, sums(9), None, seed) for seed in (0, 0, 1)]
    assert {len(half.judge) for half in halves} == {4}
    assert halves[0].judge == halves[1].judge != halves[2].judge
    assert {item.id for item in (*halves[0].learn, *halves[0].judge)} == {each.item.id for each in read(sums(9), "x")}
    twice = problem_of(exact, [*sums(4), *sums(4)], None, 0)
    assert (len(twice.learn), len(twice.judge)) == (4, 4)
    with pytest.raises(ConfigError, match="two questions"):
        problem_of(exact, sums(1) * 3, None, 0)


def test_answers_that_are_all_the_same_are_refused_or_told(tmp_path, caplog):
    same = [{"question": f"Is {k} odd?", "answer": "yes"} for k in range(6)]
    path = tmp_path / "sums.jsonl"
    path.write_text('{"question": "What is 1 + 1?", "answer": "2"}\n')
    task = load_task(str(path))
    with pytest.raises(ConfigError, match=r"trainset: .*'yes as the answer to all 3'.*different answers"):
        problem_of(task, same, None, 0)
    with caplog.at_level(logging.WARNING, "poise.tune"):
        problem_of(exact, same, None, 0)
    assert "'yes'" in caplog.text


def test_a_task_or_its_grade_grades(tmp_path):
    path = tmp_path / "sums.jsonl"
    path.write_text('{"question": "What is 1 + 1?", "answer": "2"}\n')
    task = load_task(str(path))
    for metric in (task, task.grade):
        made = problem_of(metric, sums(4), sums(4, 10), 0)
        assert made.task is task
        assert made.task.grade(made.learn[1], "2.0")
        assert not made.task.grade(made.learn[1], "3")
    with pytest.raises(ConfigError, match="metric"):
        problem_of("exact", sums(4), None, 0)


@pytest.mark.parametrize(
    ("given", "right"), [(True, True), (False, False), (0.5, True), (0.49, False), (Shown(score=0.8), True), (1, True)]
)
def test_scores_from_one_half_on_are_right(given, right):
    assert task_of(lambda example, prediction, trace=None: given).grade(ITEM, "2") is right


ITEM = read([{"question": "What is 1 + 1?", "answer": "2"}], "trainset")[0].item


def task_of(metric, example=None):
    return MetricTask(metric, (ITEM,), {ITEM.id: example or Shown(answer="2")})


@pytest.mark.parametrize("given", [None, "good", float("nan"), [1]])
def test_what_is_no_score_is_a_row_that_failed(given):
    with pytest.raises(ScorerError, match="metric"):
        task_of(lambda example, prediction: given).grade(ITEM, "2")


def test_a_metric_sees_its_own_example_the_answer_and_the_text():
    seen = []
    example = Shown(answer="2", hint="h")
    task_of(lambda *told: seen.append(told) or 1, example).grade_text(ITEM, "It is 2.", "2")
    assert seen == [(example, Prediction("2", "It is 2."))]
    plain = read([{"question": "Q", "answer": "a", "hint": "h"}], "trainset")[0].example
    assert (plain.hint, plain["hint"]) == ("h", "h")
    with pytest.raises(AttributeError, match="colour"):
        _ = plain.colour


def test_a_metric_that_raises_for_right_answers_is_refused_before_anything_is_spent():
    def broken(example, prediction):
        raise KeyError("reasoning")

    with pytest.raises(ConfigError, match="KeyError: 'reasoning', of a right answer"):
        problem_of(broken, sums(5), None, 0)
    once = iter([ValueError("no"), None])

    def flaky(example, prediction):
        if error := next(once):
            raise error
        return True

    assert len(problem_of(flaky, sums(6), None, 0).learn) == 3


async def test_a_failed_grade_still_bills_its_tokens():
    def picky(example, prediction):
        return 1 / (0 if WORD not in prediction.text else 1)

    made = problem_of(picky, [{**row, "answer": f"{WORD} {row['answer']}"} for row in sums(3)], sums(2, 10), 0)
    live = engine()
    told = await generated(
        live, made.task, made.learn, lambda item: messages(item.question, "Go."), Sampling(max_tokens=20), 0
    )
    assert [each.right for each in told] == [False] * 3
    assert all("ZeroDivisionError" in each.failure and not each.away for each in told)
    assert sum(each.tokens for each in told) == live.generated > 0


def test_the_name_tells_the_examples_apart():
    names = [problem_of(exact, sums(4), sums(4, first), 0).task.name for first in (10, 10, 11)]
    assert names[0] == names[1] != names[2]
