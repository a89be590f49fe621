"""What is refused before a token is spent, what a step costs at most, and where answers are read off."""

import dataclasses
import json
import random

import pytest
from tiny_lm import dense, llama, tokenizer

from poise.core import Sampling
from poise.engines.torch_lm import TorchLM
from poise.errors import ConfigError
from poise.evals.tasks import load_task
from poise.tune.asking import Asking
from poise.tune.budget import Spent
from poise.tune.emit import tidy
from poise.tune.generate import Generated
from poise.tune.lengths import Shorter
from poise.tune.phrases import Phrases
from poise.tune.race import Race
from poise.tune.rows import LossTerms
from poise.tune.shortlist import By
from poise.tune.step import StepSettings
from poise.tune.steppers import steps_of

SETTINGS = StepSettings(rows=3, candidates=5, tries=2, reasoning_tokens=6, race=Race(block=3, most=6))
SHORT = dataclasses.replace(SETTINGS, shorter=Shorter(phrases=Phrases(("Be brief.", "Use {n} words."))))
PROMPT = "Use 40 words. Think."


def asking(engine, task, terms=LossTerms(), slopes=True, tokens=6):
    return Asking(engine, task, task.items(4, 0), Sampling(max_tokens=tokens), terms, slopes)


def steps(engine, task, settings=SETTINGS, terms=LossTerms()):
    return steps_of(engine, task, task.items(8, 0), settings, terms, 0)


@pytest.mark.parametrize("prompt", ["x" * 300, "x" * 240])
def test_a_prompt_that_fills_the_window_is_refused(engine, task, prompt):
    with pytest.raises(ConfigError, match=r"tokens of the prompt: got \d+; allowed: 250 at most"):
        steps(engine, task).most(prompt)
    assert not asking(engine, task).stands(prompt)
    assert asking(engine, task).stands("x" * 100)


@pytest.mark.parametrize("prompt", ["Go.\n# step", "# Go", "Go\u2028on", "Go\fon", "Go\r\non", " Go", "Go\n"])
def test_what_a_file_cannot_hold_is_not_tried(engine, task, prompt):
    made = asking(engine, task)
    assert not made.stands(prompt)
    assert made.stands(tidy(prompt))


def spans(folder, *numbers):
    """Questions with these answers, on an engine that reads "is 4" as one token."""
    from tokenizers import AddedToken

    words = tokenizer()
    words.add_tokens([AddedToken("is 4", normalized=False)])
    path = folder / "sums.jsonl"
    path.write_text("".join(json.dumps({"question": f"{k}?", "answer": f"{k}", "id": k}) + "\n" for k in numbers))
    return TorchLM(dense(llama(vocab_size=len(words)), words), context=128), load_task(str(path))


def test_answers_without_a_span_are_refused_by_name_where_a_gradient_is_taken(tmp_path):
    engine, task = spans(tmp_path, 41, 42)
    with pytest.raises(ConfigError, match=r"answer of sums/4[12]: got '4[12]'"):
        steps(engine, task)
    assert steps(engine, task, dataclasses.replace(SETTINGS, by=By.RANDOM))


@pytest.mark.parametrize("by", [By.MIXED, By.GREATER])
@pytest.mark.parametrize("terms", [LossTerms(), LossTerms.shorter()])
async def test_an_answer_without_a_span_is_raced_and_tells_no_gradient(tmp_path, caplog, by, terms):
    engine, task = spans(tmp_path, 31, 42, 53, 64)
    made = steps(engine, task, dataclasses.replace(SETTINGS, by=by, rows=4), terms)
    asked = made._asking
    assert "1 of 4 questions tell no gradient: answer of sums/42" in caplog.text
    assert {item.id for item, _ in asked.some(4, "Go.", random.Random(0))} == {"sums/31", "sums/53", "sums/64"}
    parts = asked.parts(asked.items, "Go.")
    told = [Generated(item.id, "7.", (20, 21), 2, right=True) for item, _ in parts]
    rows = await asked.rows(parts, "Go.", told, Spent())
    assert sorted(row.before for row in rows) == sorted(part.before for item, part in parts if item.id != "sums/42")
    assert len(rows) == 3
    found = await made.step(0, "Go.", 1)
    assert found.tried
    assert max(tried.standing.rows for tried in found.tried) == 4
    await engine.aclose()


@pytest.mark.parametrize("by", By)
@pytest.mark.parametrize(("plain", "terms"), [(True, LossTerms()), (False, LossTerms.shorter())])
async def test_no_step_costs_more_than_it_was_said_to(engine, task, by, plain, terms):
    if by is By.GREATER and not plain:
        with pytest.raises(ConfigError, match="shorter"):
            dataclasses.replace(SHORT, by=by)
        return
    made = steps(engine, task, dataclasses.replace(SETTINGS if plain else SHORT, by=by), terms)
    most, last = made.most(PROMPT), None
    for number in range(3):
        last = made.place(number, last, PROMPT)
        spent = (await made.step(number, PROMPT, last)).spent
        assert 0 < spent.calls <= most.calls
        assert 0 < spent.tokens <= most.tokens


async def test_stops_are_read_off_only_where_the_loss_asks_for_them(engine, task):
    """Answers that are said to be right are asked for at their step ends, and what that takes is counted; a random
    model says nothing right there, so nothing could have ended."""
    for terms, looks in ((LossTerms(), 0), (LossTerms.shorter(), 3)):
        made, spent = asking(engine, task, terms), Spent()
        parts = made.parts(made.items[:2], PROMPT)
        ids = tuple(tokenizer()("1. 2.\n3", add_special_tokens=False).input_ids)
        told = [Generated(item.id, "1. 2.\n3", ids, len(ids), right=True) for item, _ in parts]
        told[1] = dataclasses.replace(told[1], failure="gone")
        rows = await made.rows(parts, PROMPT, told, spent)
        assert len(rows) == 1
        assert (spent.calls, spent.tokens > 0) == (looks, looks > 0)
        assert rows[0].stop is None


async def test_a_stop_that_is_found_stands_in_the_row(planted_engine, planted_task):
    """The planted model with its switch is right wherever it is asked; where it has said nothing wrong, too."""
    from planted import SWITCH

    made = Asking(
        planted_engine, planted_task, planted_task.items(6, 0), Sampling(0.0, max_tokens=10), LossTerms.shorter(), True
    )
    prompt = f"Go{SWITCH} a e"
    parts, spent = made.parts(made.items, prompt), Spent()
    told = await made.answers(made.items, prompt, 0, spent)
    assert all(each.right for each in told)
    rows = await made.rows(parts, prompt, told, spent)
    ends = (planted_engine.tokenizer().eos_token_id,)
    for row, (_, part), each in zip(rows, parts, told, strict=True):
        length, tokens = row.stop
        assert tokens == ends
        assert len(part.behind) < length <= len(part.behind) + len(each.ids)


async def test_reasoning_ends_with_any_token_that_ends_a_draw(task, monkeypatch):
    """Some models end their turns with another token than the tokenizer's: their generation settings tell it."""
    monkeypatch.setattr(type(task), "grade", lambda self, item, read: True)
    model = llama()
    model.generation_config.eos_token_id = [3, 1]
    engine = TorchLM(dense(model), slots=16, context=256)
    made = asking(engine, task, LossTerms.shorter())
    parts = made.parts(made.items[:2], PROMPT)
    ids = tuple(tokenizer()("1. 2.", add_special_tokens=False).input_ids)
    told = [Generated(item.id, "1. 2.", ids, len(ids), right=True) for item, _ in parts]
    rows = await made.rows(parts, PROMPT, told, Spent())
    await engine.aclose()
    assert [row.stop for row in rows] == [(len(part.behind) + 2, (1, 3)) for _, part in parts]


def test_a_model_with_logits_of_its_own_is_refused_where_a_gradient_is_taken(task):
    """Ways without one know its logits as they are."""
    from transformers import CohereConfig, CohereForCausalLM

    same = ("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads")
    config = {name: getattr(llama().config, name) for name in same}
    engine = TorchLM(dense(CohereForCausalLM(CohereConfig(**config, initializer_range=0.5)).eval()), context=256)
    with pytest.raises(ConfigError, match="logit_scale of the model"):
        steps(engine, task)
    assert steps(engine, task, dataclasses.replace(SETTINGS, by=By.LIKELIHOOD)).most(PROMPT).calls
