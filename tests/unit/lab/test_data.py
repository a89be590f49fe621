import json

import pytest

from poise.errors import ConfigError, DataError, UnknownName
from poise.lab.data import Example, examples_of, plain, without
from poise.lab.recipe import Recipe, Source

SUMS = "chain_sum:min_terms=2,max_terms=2,min_digits=1,max_digits=1"
WORK = "She has {0} + 4 = {1} of them.\n#### {1}"


def recipe(*sources, **knobs):
    return Recipe(sources=sources, **knobs)


def questions(examples):
    return [plain(example.question) for example in examples]


@pytest.fixture
def gsm8k(tmp_path):
    """Forty questions, every fourth without a solution that can be learnt."""
    path = tmp_path / "train.jsonl"
    lines = [
        {"question": f"How many is {k} and 4?", "answer": WORK.format(k, k + 4 + 100 * (k % 4 == 0))} for k in range(40)
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return str(path)


def test_training_and_validation_share_no_question():
    # Few enough questions that another seed asks the same ones again.
    found = examples_of(recipe(Source(SUMS, 60, 1, validation=5), Source(SUMS, 60, 2, validation=5)), {})
    assert len(found.validation) == 10
    assert not set(questions(found.training)) & set(questions(found.validation))


def test_a_leak_is_removed():
    # The second source validates on what the first one trains on.
    alone = examples_of(recipe(Source("chain_sum", 20, 1)), {})
    leaking = examples_of(recipe(Source("chain_sum", 20, 1), Source("chain_sum", 0, 1, validation=8)), {})
    held = set(questions(leaking.validation))
    assert len(held) == 8
    assert held < set(questions(alone.training))
    assert set(questions(leaking.training)) == set(questions(alone.training)) - held


def test_held_out_templates_share_no_template_and_no_question():
    sources = Source("gsm_symbolic:templates=0-84", 40, validation=5), Source("gsm_symbolic:templates=85-99", 0, 1, 15)
    found = examples_of(recipe(*sources), {})
    learned = {example.cluster for example in found.training}
    held = [example for example in found.validation if example.task.endswith("85-99")]
    assert len(held) == 15
    assert not learned & {example.cluster for example in held}
    assert all(int(example.cluster.rsplit(" ", 1)[1]) >= 85 for example in held)
    assert all(int(cluster.rsplit(" ", 1)[1]) <= 84 for cluster in learned)


def test_the_same_seed_gives_the_same_examples_and_another_one_others():
    source = Source("chain_sum", 30, 1, 5, (("bare", 0.5), ("cot", 0.5)))
    first = examples_of(recipe(source), {})
    assert examples_of(recipe(source), {}) == first
    reordered = examples_of(recipe(source, seed=2), {})
    assert sorted(questions(reordered.training)) == sorted(questions(first.training))
    assert questions(reordered.training) != questions(first.training)
    other = examples_of(recipe(Source("chain_sum", 30, 2, 5)), {})
    assert not set(questions(other.training)) & set(questions(first.training))


def test_prompts_wrap_questions_by_their_weights():
    found = examples_of(recipe(Source("chain_sum", 300, prompts=(("bare", 3), ("cot", 0), ("direct", 1)))), {})
    asked = [(example.prompt[-1].text == example.question, example.answer) for example in found.training]
    bare = [answer for alone, answer in asked if alone]
    direct = [answer for alone, answer in asked if not alone]
    assert 190 <= len(bare) <= 260
    assert all("#### " in answer for answer in bare)
    assert all(answer.lstrip("-").isdigit() for answer in direct)


def test_values_are_the_answer_whatever_the_prompt():
    found = examples_of(recipe(Source("chain_sum", 20, values=True, prompts=(("bare", 1), ("cot", 1)))), {})
    worked = examples_of(recipe(Source("chain_sum", 20, prompts=(("bare", 1), ("cot", 1)))), {})
    assert all(example.answer.lstrip("-").isdigit() for example in found.training)
    assert {example.question: f"#### {example.answer}" for example in found.training} == {
        example.question: example.answer.splitlines()[-1] for example in worked.training
    }


def test_a_file_stands_in_for_the_hub(gsm8k):
    found = examples_of(recipe(Source("gsm8k:split=train", 20, validation=4)), {"gsm8k": gsm8k})
    assert (len(found.training), len(found.validation)) == (20, 4)
    assert not set(questions(found.training)) & set(questions(found.validation))
    assert all(example.answer.splitlines()[-1].startswith("#### ") for example in found.training)


def test_a_file_with_too_few_solutions_gives_what_it_has(gsm8k, caplog):
    found = examples_of(recipe(Source("gsm8k:split=train", 100, validation=4)), {"gsm8k": gsm8k})
    assert (len(found.training), len(found.validation)) == (26, 4)
    assert "30 questions with worked solutions, of 104 wanted" in caplog.text


def test_nothing_to_train_on_is_an_error(gsm8k, tmp_path):
    with pytest.raises(ConfigError, match="at least one example"):
        examples_of(recipe(Source("gsm8k", 1), Source("gsm8k", 0, validation=30)), {"gsm8k": gsm8k})
    bad = tmp_path / "bad.jsonl"
    bad.write_text(json.dumps({"question": "How many?", "answer": WORK.format(1, 9)}) + "\n")
    with pytest.raises(ConfigError, match="worked solutions"):
        examples_of(recipe(Source("gsm8k", 3)), {"gsm8k": str(bad)})
    bad.write_text("")
    with pytest.raises(DataError):
        examples_of(recipe(Source("gsm8k", 3)), {"gsm8k": str(bad)})


def test_what_cannot_be_trained_on_is_named():
    with pytest.raises(UnknownName, match="family with worked solutions"):
        examples_of(recipe(Source("spell_backward", 3)), {})
    with pytest.raises(UnknownName, match="chain_sum"):
        examples_of(recipe(Source("chain_sm", 3)), {})
    with pytest.raises(UnknownName, match="data: got 'gsm8k'; allowed: one of chain_sum"):
        examples_of(recipe(Source("chain_sum", 3)), {"gsm8k": "x.jsonl"})


def test_each_question_is_kept_once_per_wording():
    first, again = (Example((), "1", question, "c", "t") for question in ("How  many?", "how many? "))
    other = Example((), "1", "How many more?", "c", "t")
    assert without([first, again, other], []) == [first, other]
    assert without([first, again, other], ["HOW MANY?"]) == [other]
