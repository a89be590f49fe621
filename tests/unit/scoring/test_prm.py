"""Process reward models: marks at the ends of lines, one score of them, and clear words where a mark is none."""

import pytest
import torch
from tiny_lm import dense, llama, mistral, tokenizer

from poise.core import Draft, Finish, Kind, Request, Step
from poise.errors import ConfigError, UnknownName
from poise.scoring import marking
from poise.scoring.marking import Marking
from poise.scoring.prm import Over, ProcessRewardModel, over
from poise.testing import check_scorer

REQUEST = Request.ask("What is 3 + 4?", Kind.NUMBER)


@pytest.fixture(params=[llama, mistral])
def tiny(monkeypatch, request):
    model = request.param()
    monkeypatch.setattr(marking, "load_dense", lambda name: dense(model))
    return model


def path(*lines):
    return tuple(Step(place + 1, place, Draft(line, Finish.DELIMITER, 3)) for place, line in enumerate(lines))


def test_marks_are_read_where_lines_end(tiny):
    """Against the whole text in one pass through the model itself."""
    [(marks, usage)] = Marking("tiny", "%", "+", "-").marks("3 + 4?", ["a = 3\n\nb = 4"])
    ids = tokenizer()("<s>3 + 4? a = 3%\nb = 4%", add_special_tokens=False).input_ids
    right, wrong, mark = (tokenizer()(text, add_special_tokens=False).input_ids[0] for text in "+-%")
    with torch.no_grad():
        logits = tiny(torch.tensor([ids])).logits[0].float()
    places = [place for place, id in enumerate(ids) if id == mark]
    wanted = torch.softmax(logits[places][:, [right, wrong]], -1)[:, 0].tolist()
    assert marks == pytest.approx(wanted, abs=1e-4)
    assert usage.scorer_tokens == len(ids)


def test_lines_are_cut_as_in_the_whole_text(tiny, monkeypatch):
    """By a tokenizer, too, that puts a space before whatever it is given."""
    from tokenizers import normalizers

    words = tokenizer()
    words.backend_tokenizer.normalizer = normalizers.Prepend(" ")
    monkeypatch.setattr(marking, "load_dense", lambda name: dense(tiny, words))
    marks, usage = Marking("tiny", "%", "+", "-").marks("3 + 4?", ["a = 3\nb = 4"])[0]
    ids = words("3 + 4? a = 3%\nb = 4%", add_special_tokens=False).input_ids
    assert (len(marks), usage.scorer_tokens) == (2, 1 + len(ids))


def test_the_question_is_read_once_for_all(tiny):
    one, other = Marking("tiny", "%", "+", "-").marks("3 + 4?", ["a = 3", "a = 3"])
    assert one[0] == pytest.approx(other[0], abs=1e-5)
    assert other[1].cached_prompt_tokens == one[1].scorer_tokens - other[1].scorer_tokens > 0
    assert one[1].flops > other[1].flops > 0


@pytest.mark.parametrize("how", Over)
async def test_the_laws_of_a_scorer_hold(tiny, how):
    await check_scorer(ProcessRewardModel("tiny", "%", over=how))


async def test_steps_and_lines_are_the_same(tiny):
    scorer = ProcessRewardModel("tiny", "%")
    whole, parts = await scorer.score(REQUEST, [path("a = 3\nb = 4"), path("a = 3\n", "b = 4")])
    assert whole.value == pytest.approx(parts.value, abs=1e-5)
    [empty] = await scorer.score(REQUEST, [path("\n")])
    assert empty.failure


async def test_what_does_not_fit_into_the_model_is_a_failed_score(tiny):
    """512 places: <s>, 14 bytes of the question, a space, the text, and its mark."""
    scorer = ProcessRewardModel("tiny", "%")
    fits, over, short = await scorer.score(REQUEST, [path("7" * 495), path("7" * 496), path("7")])
    assert not fits.failure
    assert over.failure
    assert (over.value, over.usage.scorer_tokens) == (0.0, 0)
    assert not short.failure
    assert short.usage.cached_prompt_tokens == 15


def test_one_score_of_many_marks():
    assert [over([0.5, 0.2, 0.4], how) for how in Over] == [0.4, 0.2, pytest.approx(0.04)]


def test_a_mark_must_be_one_token(tiny):
    with pytest.raises(ConfigError, match=r"prm\.mark.*single token"):
        Marking("tiny", "ки", "+", "-")


def test_a_name_that_nobody_knows_is_refused_before_anything_is_loaded():
    with pytest.raises(UnknownName, match="default"):
        ProcessRewardModel("defalt").ready()
    ProcessRewardModel().ready()
