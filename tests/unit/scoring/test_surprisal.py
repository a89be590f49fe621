"""The head of the verifier over told logprobs: it must say what the verifier says who reads the same tokens."""

import sys

import pytest
from commands import output_of
from tiny_lm import dense

from poise.cli import app
from poise.core import Draft, Finish, Kind, Request, Step
from poise.errors import ConfigError, ModelError
from poise.models.head import HeadCard, load_head, save_head, with_figures
from poise.models.reader import Asked, load_reader, read
from poise.models.turns import Text, prompt_ids, text_ids
from poise.scoring.surprisal import Surprisal
from poise.scoring.verifier import HEADS, Verifier

REQUEST = Request.ask("What is 3 + 4?", Kind.NUMBER)
SURE, DOUBTFUL = (-0.01,) * 30, (-0.01,) * 20 + (-2.0,) * 10


def path(text, logprobs, finish=Finish.EOS):
    return (Step(1, 0, Draft(text, finish, len(logprobs), logprobs)),)


async def values(scorer, *paths):
    return [score.value for score in await scorer.score(REQUEST, paths)]


async def test_the_shipped_head_prefers_what_its_policy_was_sure_of():
    sure, doubtful = await Surprisal().score(REQUEST, [path("#### 7", SURE), path("#### 7", DOUBTFUL)])
    assert 0 < doubtful.value < sure.value < 1
    assert sure.usage.flops == sure.usage.scorer_tokens == 0


async def test_a_path_in_steps_scores_as_one_and_given_text_is_passed_over():
    whole = path("a = 1\nb = 2", DOUBTFUL)
    first = Step(1, 0, Draft("a = 1\n", Finish.DELIMITER, 12, DOUBTFUL[:12]))
    rest = Step(2, 1, Draft("b = 2", Finish.EOS, 18, DOUBTFUL[12:]))
    given = Step(2, 1, Draft("= 2", Finish.EOS, 18, DOUBTFUL[12:]), suffix="b ")
    one, *others = await values(Surprisal(), whole, (first, rest), (first, given))
    assert others == pytest.approx([one, one], abs=1e-6)


async def test_it_says_what_the_verifier_says_of_the_same_tokens(tmp_path, monkeypatch):
    """A policy's own logprobs, told, are what the verifier finds when it reads the text again."""
    monkeypatch.setattr("poise.models.reader.load_dense", lambda name: dense())
    shipped = load_head(HEADS / "verifier")
    save_head(with_figures(shipped, ()), tmp_path)
    text = "3 + 4 = 7\n#### 7"
    [verified] = await values(Verifier(str(tmp_path), "default"), path(text, ()))
    reader = load_reader("default")
    asked = Asked(prompt_ids(reader.tokenizer, REQUEST.messages), [text_ids(reader.tokenizer, Text(text, True))])
    [[states]] = read(reader.llama, [asked], (), True)
    told = tuple(float(-surprise) for surprise in states[:, -1])
    assert await values(Surprisal(str(tmp_path)), path(text, told)) == pytest.approx([verified], abs=1e-4)


async def test_a_draft_without_logprobs_is_a_failure_not_a_guess():
    [score] = await Surprisal().score(REQUEST, [path("7", ())])
    assert score.failure == "the draft carries no logprobs"


def test_heads_that_cannot_serve_are_refused_before_anything_is_drawn(tmp_path):
    with pytest.raises(ModelError, match="no head"):
        Surprisal(str(tmp_path / "none")).ready()
    shipped = load_head(HEADS / "verifier")
    deep = HeadCard("verifier", "default", (1,), pooled=False, surprise=True)
    save_head(type(shipped)(deep, shipped.mean, shipped.scale, shipped.weights, shipped.biases), tmp_path)
    with pytest.raises(ConfigError, match="allowed: a head of surprisal alone"):
        Surprisal(str(tmp_path)).ready()


def test_it_needs_no_torch_and_no_safetensors(monkeypatch):
    for package in ("torch", "safetensors", "transformers"):
        monkeypatch.setitem(sys.modules, package, None)
    Surprisal().ready()
    way = "best_of_n:n=3,scorer=surprisal"
    told = output_of(app, "ask", "What is 3 + 4?", "--explain", "--engine", "scripted", "--strategy", way)
    assert "surprisal" in told
