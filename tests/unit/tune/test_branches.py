"""Texts read once and gone on with in many ways: the same numbers as reading each whole, for a fraction of the work."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_lm import gpt2, llama

from poise.tune.branches import Again, Kept, branches, keeps

TEXTS = ((0, 5, 9, 77), (0, 200, 3), (7,))
WAYS = ((30, 31, 32), (40,), (41, 9, 130, 12, 7), (30, 99))


@pytest.fixture(params=[llama, gpt2])
def model(request):
    return request.param()


def plain(model, text, way):
    """The whole text through the model, no cache and no padding."""
    with torch.no_grad():
        told = torch.log_softmax(model(torch.tensor([[*text, *way]])).logits[0].double(), -1)
    return sum(float(told[len(text) - 1 + place, token]) for place, token in enumerate(way))


def counted(model):
    """Tokens of every forward pass from here on, padding among them."""
    seen = []
    model.register_forward_pre_hook(lambda _, words, named: seen.append(named["input_ids"].numel()), with_kwargs=True)
    return seen


@pytest.mark.parametrize("way", [Kept, Again])
def test_it_is_what_the_whole_text_gives(model, way):
    read = way(model, TEXTS)
    wanted = torch.tensor([[plain(model, text, one) for one in WAYS] for text in TEXTS])
    torch.testing.assert_close(read.told(WAYS), wanted, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(read.told(WAYS[2:]), wanted[:, 2:], rtol=1e-5, atol=1e-5)  # nothing of before is seen
    for row, text in enumerate(TEXTS):
        assert float(read.next[row, 30]) == pytest.approx(plain(model, text, (30,)), rel=1e-5)


token = st.integers(2, 257)


@settings(max_examples=20)
@given(
    st.lists(st.lists(token, min_size=1, max_size=9), min_size=1, max_size=4),
    st.lists(st.lists(token, min_size=1, max_size=5), min_size=0, max_size=7),
)
def test_both_ways_agree_in_float64(texts, ways):
    model = gpt2().double()
    kept, again = Kept(model, texts), Again(model, texts)
    torch.testing.assert_close(kept.next, again.next, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(kept.told(ways), again.told(ways), rtol=1e-9, atol=1e-9)


def test_packs_change_nothing(model, monkeypatch):
    whole = Kept(model, TEXTS).told(WAYS)
    monkeypatch.setattr("poise.tune.branches._AT_ONCE", 1)
    seen = counted(model)
    torch.testing.assert_close(Kept(model, TEXTS).told(WAYS), whole, rtol=1e-5, atol=1e-5)
    assert len(seen) == 2 + 3  # the texts, their last tokens, and each way that has more than one token


def test_a_text_is_computed_once_whatever_comes_behind(model):
    """As proposals ask: 8 rows of 100 tokens, 32 ways of 6."""
    texts = [[(7 * row + place) % 250 + 2 for place in range(100)] for row in range(8)]
    ways = [[token, 5, 6, 7, 8, 9] for token in range(10, 42)]
    seen = counted(model)
    read = Kept(model, texts)
    read.told(ways)
    assert read.computed == sum(seen) == 8 * 100 + 8 * 32 * 5
    assert len(seen) <= 6
    seen.clear()
    other = Again(model, texts)
    other.told(ways)
    assert other.computed == sum(seen) == 8 * 100 + 32 * 8 * 105
    assert other.computed > 13 * read.computed


def test_logits_are_taken_where_they_are_read(model):
    held = []
    model.register_forward_hook(lambda _, words, out: held.append(out.logits.shape[1]))
    Kept(model, TEXTS).told(WAYS)
    assert held == [1, 1, 2 + 4 + 1]  # of the ways, all tokens but the last


def test_who_forgets_is_read_again():
    assert keeps(llama())
    assert isinstance(branches(llama(), TEXTS), Kept)
    for changed in ({"sliding_window": 8}, {"layer_types": ["full_attention", "sliding_attention"]}, {"alibi": True}):
        model = llama()
        for name, value in changed.items():
            setattr(model.config, name, value)
        assert not keeps(model)
        assert isinstance(branches(model, TEXTS), Again)
