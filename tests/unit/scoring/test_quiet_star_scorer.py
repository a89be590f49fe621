"""Thoughts as a judge: what they say of a draft is what thinking at every place of it says."""

import importlib.util
import math

import pytest
import torch
from tiny_lm import dense, llama, tokenizer

from poise.core import Draft, Finish, Kind, Request, Step
from poise.errors import ConfigError
from poise.models.quiet_star.config import QuietStarConfig
from poise.models.quiet_star.decoding import ThinkingRows
from poise.models.quiet_star.model import QuietStar
from poise.models.quiet_star.thoughts import parallel
from poise.models.turns import prompt_ids
from poise.scoring import thoughtful
from poise.scoring.quiet_star import By, QuietStarScorer
from poise.scoring.thoughtful import read
from poise.testing import check_scorer

REQUEST = Request.ask("What is 3 + 4?", Kind.NUMBER)
ASKED, TOLD = [5, 9, 77, 41], [9, 130, 12, 7, 55, 3, 8]


@pytest.fixture
def model():
    torch.manual_seed(7)
    made = QuietStar(llama(), tokenizer(), QuietStarConfig(n_ahead=5))
    torch.nn.init.normal_(made.mixer.last.weight, std=0.5)
    return made.eval().requires_grad_(False)


@pytest.fixture
def scorer(model, monkeypatch, tmp_path):
    """Makes scorers of one tiny model."""
    (tmp_path / "quiet_star.json").write_text("{}")
    monkeypatch.setattr(thoughtful, "load_quiet_star", lambda *words: (model, dense(model.model)))
    return lambda by=By.LIKELIHOOD: QuietStarScorer(str(tmp_path), by=by)


def path(text, finish=Finish.EOS):
    return (Step(1, 0, Draft(text, finish, 3)),)


@pytest.mark.parametrize("abreast", [1, 3, 16])
def test_it_reads_what_thinking_everywhere_says(model, abreast):
    """However many tokens are thought about side by side."""
    mixed, base = read(ThinkingRows(model, 1, 32, abreast), ASKED, TOLD)
    dice = torch.Generator().manual_seed(0)
    sizes = [len(TOLD[start : start + abreast]) for start in range(0, len(TOLD), abreast)]
    numbers = torch.cat([torch.rand(1, size, 2, generator=dice) for size in sizes], 1)
    ids = torch.tensor([ASKED + TOLD])
    spread = torch.zeros(1, len(ASKED) + len(TOLD), 2)
    spread[:, len(ASKED) - 1 : -1] = numbers
    found = parallel(model, ids, spread.double())
    here = slice(len(ASKED) - 1, -1)
    for told, states in ((base, found.base[0, here]), (mixed, found.mixed[0, here, 0])):
        logs = torch.log_softmax(model.logits(states).float(), -1)
        wanted = logs.gather(1, torch.tensor(TOLD)[:, None]).mean()
        assert told == pytest.approx(float(wanted), abs=1e-4)


async def test_the_laws_of_a_scorer_hold(scorer):
    await check_scorer(scorer())
    await check_scorer(scorer(By.GAIN))


async def test_a_gain_of_nothing_is_a_half(scorer, model):
    torch.nn.init.zeros_(model.mixer.last.weight)
    [score] = await scorer(By.GAIN).score(REQUEST, [path("3 + 4 = 7")])
    assert score.value == pytest.approx(0.5, abs=1e-3)


async def test_thoughts_and_the_prompt_are_billed(scorer):
    one, other = await scorer().score(REQUEST, [path("3 + 4 = 7"), path("3 + 4 = 7")])
    assert one.value == pytest.approx(other.value, abs=1e-5)
    assert one.usage.scorer_tokens > other.usage.scorer_tokens
    assert other.usage.scorer_tokens % (1 + 4) == 0  # each token, and n_ahead - 1 passes for it
    assert one.usage.flops > other.usage.flops > 0
    assert math.isfinite(one.value)


async def test_what_the_model_has_no_places_for_is_a_failed_score(scorer, model):
    """The window holds the prompt, the text, and the thought behind its last token."""
    words = dense(model.model).tokenizer
    asked = len(prompt_ids(words, REQUEST.messages))
    room = model.window - asked - 4 - 1  # n_ahead - 1 passes, and the end of the turn
    fits, over, short = await scorer().score(REQUEST, [path("7" * room), path("7" * (room + 1)), path("7")])
    assert not fits.failure
    assert 0 < fits.value < 1
    assert over.failure == "509 tokens with its question, of 508 that the model can read"
    assert (over.value, over.usage.scorer_tokens) == (0.0, 0)
    assert not short.failure
    assert short.usage.cached_prompt_tokens == asked
    [alone] = await scorer().score(REQUEST, [path("7" * 600)])
    assert alone.failure


async def test_an_empty_draft_has_no_score(scorer):
    [score] = await scorer().score(REQUEST, [path("")])
    assert score.failure


def test_a_folder_of_something_else_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="quiet_star"):
        QuietStarScorer(str(tmp_path)).ready()


def test_without_the_torch_extra_it_says_so(monkeypatch, tmp_path):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "torch" else find(name))
    with pytest.raises(ConfigError, match=r"poise\[torch\]"):
        QuietStarScorer(str(tmp_path)).ready()
