"""Candidates for a place of a prompt, against the model's own probabilities."""

import pytest
import torch
from tiny_lm import SPACED, llama, metaspace, tokenizer

from poise.errors import ConfigError
from poise.tune.placing import placed
from poise.tune.propose import Proposer, survives

BEFORES = ((0, 5, 9, 77), (0, 200, 3), (0, 7))
PROMPT = (30, 31, 32, 33)


@pytest.fixture
def model():
    return llama()


def likely(model, text):
    with torch.no_grad():
        return torch.log_softmax(model(torch.tensor([text])).logits[0], -1)


def test_the_faithful_way_takes_what_all_rows_find_likely(model):
    found = Proposer(model).shared(BEFORES, PROMPT, 2, k=10).tokens
    assert found[0] == PROMPT[2]
    assert len(found) >= 6
    each = [likely(model, [*before, *PROMPT[:2]])[-1] for before in BEFORES]
    for k in (10, 20, 40, 80, 160, 258):
        common = set.intersection(*(set(row.argsort(descending=True)[:k].tolist()) for row in each))
        if len(common) >= 6:
            break
    assert set(found) == common | {PROMPT[2]}


def test_two_sided_scores_are_left_and_right_together(model):
    found = Proposer(model).fitting(BEFORES, PROMPT, 1, count=4, pool=20).tokens
    assert found[0] == PROMPT[1]
    left = torch.stack([likely(model, [*before, *PROMPT[:1]])[-1] for before in BEFORES]).mean(0)
    pool = [token for token in left.argsort(descending=True).tolist() if token != PROMPT[1]][:20]

    def score(token):
        right = 0.0
        for before in BEFORES:
            text = [*before, PROMPT[0], token, *PROMPT[2:]]
            logs = likely(model, text)
            start = len(before) + 1
            right += sum(float(logs[start + k, PROMPT[2 + k]]) for k in range(2))
        return float(left[token]) + right / len(BEFORES)

    assert list(found[1:]) == sorted(pool, key=score, reverse=True)[:4]


def test_at_the_end_the_left_side_decides(model):
    found = Proposer(model).fitting(BEFORES, PROMPT, 3, count=5, pool=5).tokens
    left = torch.stack([likely(model, [*before, *PROMPT[:3]])[-1] for before in BEFORES]).mean(0)
    assert list(found[1:]) == [token for token in left.argsort(descending=True).tolist() if token != PROMPT[3]][:5]


def test_only_what_survives_being_written_is_proposed(model):
    words = tokenizer()
    safe = survives(words)
    ids = words("Let us think", add_special_tokens=False).input_ids
    assert safe(ids)
    odd = [token for token in range(2, 258) if not safe([*ids[:3], token, *ids[4:]])]
    assert odd  # halves of characters
    found = Proposer(model, safe).fitting(BEFORES, ids, 3, count=60, pool=100).tokens
    assert not set(found) & set(odd)
    assert not set(Proposer(model, safe).shared(BEFORES, ids, 3).tokens[1:]) & set(odd)


def test_what_means_something_to_the_turns_is_never_proposed(model):
    """The end of a turn is likely behind any prompt, and reads back as itself."""
    words = tokenizer()
    words.add_special_tokens({"extra_special_tokens": ["<tool>"]})
    ids = words("Go", add_special_tokens=False).input_ids
    assert words("Go</s>", add_special_tokens=False).input_ids == [*ids, 1]
    for control in ("<s>", "</s>", "<tool>"):
        assert not survives(words)([*ids, *words(control, add_special_tokens=False).input_ids])
    assert survives(words)(ids)


@pytest.mark.parametrize("how", SPACED)
def test_what_survives_is_read_where_a_prompt_stands(how):
    """Behind a line break, where no space is put before the first word."""
    words = metaspace(how)
    safe, own = survives(words), placed(words, "3?", "Think first.").prompt
    spaced, so, plain = words.convert_tokens_to_ids(["▁Think", "▁So", "So"])
    assert safe(own)
    assert safe((plain, *own[1:]))
    assert not safe((so, *own[1:]))
    assert safe((own[0], so, *own[2:]))
    assert not safe((spaced, *own[1:]))


def test_a_prompt_does_not_begin_with_a_space():
    """What is kept is stripped, so its first token would be another."""
    words = tokenizer()
    ids = words("Go on", add_special_tokens=False).input_ids
    space = words(" ", add_special_tokens=False).input_ids
    assert survives(words)([*ids, *space, *ids])
    assert not survives(words)([*space, *ids])
    assert not survives(words)([*ids, *space])


def test_the_place_behind_the_last_token_has_no_token_of_its_own(model):
    found = Proposer(model).shared(BEFORES, PROMPT, len(PROMPT)).tokens
    assert len(found) >= 6
    shared = Proposer(model).shared(BEFORES, (*PROMPT, found[3]), len(PROMPT)).tokens
    assert shared == (found[3], *(token for token in found if token != found[3]))


def test_what_it_costs_is_what_was_computed_and_what_was_said(model):
    seen = []
    model.register_forward_pre_hook(lambda _, words, named: seen.append(named["input_ids"].numel()), with_kwargs=True)
    befores = [before[:2] for before in BEFORES]  # of one length: nothing is padded
    made = Proposer(model)
    found = made.fitting(befores, PROMPT, 1, count=4, pool=20)
    assert found.cost == sum(seen) == 3 * (2 + 1) + 3 * 20 * 2
    assert found.cost <= 3 * made.reading(2 + len(PROMPT), 32 * 5, 32)


def test_how_unlikely_a_prompt_is(model):
    told, cost = Proposer(model).fluency(BEFORES, [PROMPT, PROMPT[:2]])
    for prompt, nll in zip((PROMPT, PROMPT[:2]), told, strict=True):
        each = []
        for before in BEFORES:
            logs = likely(model, [*before, *prompt])
            each.append(-sum(float(logs[len(before) - 1 + k, token]) for k, token in enumerate(prompt)) / len(prompt))
        assert nll == pytest.approx(sum(each) / 3, rel=1e-5)
    assert cost == sum(map(len, BEFORES)) + 3 * (3 + 1)


def test_more_candidates_than_the_pool_are_refused(model):
    with pytest.raises(ConfigError, match="count"):
        Proposer(model).fitting(BEFORES, PROMPT, 1, count=9, pool=8)
