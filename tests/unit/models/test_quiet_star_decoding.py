"""Thinking behind the text of a row: what it says is what thinking at every place of the text says there."""

import pytest
import torch
from tiny_lm import gpt2, llama, mistral, tokenizer

from poise.errors import ConfigError
from poise.models.decode import Rows
from poise.models.llama import view_of
from poise.models.quiet_star.config import QuietStarConfig
from poise.models.quiet_star.decoding import ThinkingRows
from poise.models.quiet_star.model import QuietStar
from poise.models.quiet_star.thoughts import parallel

TEXTS = [[5, 9, 77, 41, 9, 130, 12], [200, 3, 3, 18], [7, 7, 1, 90, 33]]


@pytest.fixture(params=[llama, mistral])
def model(request):
    torch.manual_seed(7)
    made = QuietStar(request.param(), tokenizer(), QuietStarConfig(n_ahead=6, n_ahead_talk=1))
    torch.nn.init.normal_(made.mixer.last.weight, std=0.5)
    torch.nn.init.normal_(made.end, std=0.01)
    return made.eval().requires_grad_(False)


def at_the_end(model, text, numbers):
    ids = torch.tensor([text])
    spread = numbers[None, None].expand(1, len(text), -1)
    return model.logits(parallel(model, ids, spread).mixed[0, -1, 0])


def test_thoughts_behind_a_prompt_and_behind_what_was_drawn(model):
    rows = ThinkingRows(model, 4, 64)
    numbers = torch.rand(3, 3, generator=torch.Generator().manual_seed(2)).double()
    read = rows.admit([(text, 1) for text in TEXTS])
    told = rows.think(torch.arange(3), read.states[:, None], numbers[:, None])[:, 0]
    for row, text in enumerate(TEXTS):
        torch.testing.assert_close(told[row], at_the_end(model, text, numbers[row]), atol=1e-4, rtol=1e-4)
    rows.step(torch.tensor([50, 60, 70]))
    some = torch.tensor([2, 0])
    told = rows.think(some, rows.states[some][:, None], numbers[some][:, None])[:, 0]
    for place, row in enumerate(some.tolist()):
        wanted = at_the_end(model, [*TEXTS[row], 50 + 10 * row], numbers[row])
        torch.testing.assert_close(told[place], wanted, atol=1e-4, rtol=1e-4)


def test_what_was_thought_leaves_no_trace(model):
    """Gating never shifts the distribution elsewhere: with thoughts in between, all later steps are bit for bit those
    of rows that never thought."""
    numbers = torch.rand(3, 3).double()
    thoughtful, plain = ThinkingRows(model, 4, 64), ThinkingRows(model, 4, 64)
    read = [rows.admit([(text, 1) for text in TEXTS]) for rows in (thoughtful, plain)]
    thoughtful.think(torch.arange(3), read[0].states[:, None], numbers[:, None])
    for token in (50, 60, 70, 80):
        tokens = torch.tensor([token] * 3)
        assert torch.equal(thoughtful.step(tokens), plain.step(tokens))
        which = torch.tensor([token % 3])
        thoughtful.think(which, thoughtful.states[which][:, None], numbers[:1, None])


def test_thoughts_off_is_the_base_bit_for_bit(model):
    """Rows of the model that was never wrapped say the same to the last bit, whatever was thought in between."""
    thoughtful, plain = ThinkingRows(model, 4, 64), Rows(view_of(llama().requires_grad_(False)), 4, 64)
    source = torch.Generator().manual_seed(5)
    read = [rows.admit([(text, 1) for text in TEXTS]) for rows in (thoughtful, plain)]
    assert torch.equal(read[0].logits, read[1].logits)
    assert torch.equal(read[0].states, read[1].states)
    states = read[0].states
    for _ in range(20):
        which = torch.randperm(3, generator=source)[: int(torch.randint(1, 4, (), generator=source))]
        numbers = torch.rand(len(which), 1, 3, generator=source).double()
        thoughtful.think(which, states[which][:, None], numbers)
        tokens = torch.randint(2, 258, (3,), generator=source)
        assert torch.equal(thoughtful.step(tokens), plain.step(tokens))
        states = thoughtful.states
        assert torch.equal(states, plain.states)


def test_thoughts_behind_several_tokens_side_by_side(model):
    """Those of one token do not see those of another, nor the tokens after it."""
    rows = ThinkingRows(model, 4, 64)
    rows.admit([(text, 1) for text in TEXTS])
    which, drafts = torch.tensor([2, 0]), torch.tensor([[50, 60, 70], [80, 90, 100]])
    states = torch.stack([rows.advance(which, drafts[:, place])[0] for place in range(3)], 1)
    numbers = torch.rand(2, 3, 3, generator=torch.Generator().manual_seed(2)).double()
    told = rows.think(which, states, numbers)
    for place, row in enumerate(which.tolist()):
        for token in range(3):
            text = TEXTS[row] + drafts[place, : token + 1].tolist()
            wanted = at_the_end(model, text, numbers[place, token])
            torch.testing.assert_close(told[place, token], wanted, atol=1e-4, rtol=1e-4)


def test_what_is_forgotten_leaves_no_trace(model):
    drafting, plain = ThinkingRows(model, 2, 64), ThinkingRows(model, 2, 64)
    which = torch.tensor([0, 1])
    for rows in (drafting, plain):
        rows.admit([(text, 1) for text in TEXTS[:2]])
        rows.step(torch.tensor([50, 60]))
    states = torch.stack([drafting.advance(which, torch.tensor([token, token]))[0] for token in (1, 2, 3)], 1)
    drafting.think(which, states, torch.rand(2, 3, 3).double())
    for row in range(2):
        drafting.forget(row, len(TEXTS[row]) + 1)
    for token in (70, 80):
        assert torch.equal(drafting.step(torch.tensor([token] * 2)), plain.step(torch.tensor([token] * 2)))


def test_the_last_token_of_the_context_may_be_thought_about(model):
    rows = ThinkingRows(model, 1, 8)
    assert rows.limit == 8
    read = rows.admit([(list(range(8)), 1)])
    told = rows.think(torch.tensor([0]), read.states[:, None], torch.rand(1, 1, 3).double())
    assert torch.isfinite(told).all()


def test_a_context_leaves_places_for_a_thought(model):
    """Of 512 places, five passes behind the last token."""
    assert ThinkingRows(model, 1, 507).passes + 507 == 512
    with pytest.raises(ConfigError, match=r"508.*1 to 507"):
        ThinkingRows(model, 1, 508)


def test_a_model_of_another_family_is_refused():
    with pytest.raises(ConfigError, match="llama"):
        ThinkingRows(QuietStar(gpt2(), tokenizer(), QuietStarConfig()), 2, 16)
