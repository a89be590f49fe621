import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_lm import gpt2, llama

from poise.models.decode import Rows
from poise.models.gangs import Gangs
from poise.models.llama import view_of

PROMPTS = [[0, 5, 9, 40, 7], [0, 5, 9, 40, 7, 8, 200, 3], [0, 77], [0, *range(20, 60)]]


def rows(model, size=8, context=128):
    return Rows(view_of(model), size, context)


def greedy(decoder, prompts, new_tokens):
    """Each prompt's greedy continuation, all decoded together; riders say which prompt a row belongs to."""
    riders, following, made = [], [], {number: [] for number in range(len(prompts))}
    for number, token in enumerate(decoder.admit([(prompt, 1) for prompt in prompts]).logits.argmax(-1).tolist()):
        riders.append(number)
        following.append(token)
        made[number].append(token)
    for _ in range(new_tokens - 1):
        logits = decoder.step(torch.tensor(following))
        following = logits.argmax(-1).tolist()
        for rider, token in zip(riders, following, strict=True):
            made[rider].append(token)
    return list(made.values())


def generated(model, prompt, new_tokens):
    out = model.generate(
        torch.tensor([prompt]), max_new_tokens=new_tokens, do_sample=False, eos_token_id=None, pad_token_id=1
    )
    return out[0, len(prompt) :].tolist()


@pytest.mark.parametrize(
    ("model", "decoder"), [(llama(), rows), (llama(3, tie_word_embeddings=False), rows), (gpt2(), None)]
)
def test_greedy_tokens_are_those_of_transformers(model, decoder):
    decode = decoder(model) if decoder else Gangs(model, 8, 128)
    assert greedy(decode, PROMPTS, 12) == [generated(model, prompt, 12) for prompt in PROMPTS]


def test_a_prompt_that_starts_like_another_is_read_from_there():
    model = llama()
    decoder = rows(model)
    long = [0, *range(2, 40)]
    cold = decoder.admit([(long, 1)])
    warm = decoder.admit([([*long[:30], 99], 1), ([0, 200, 9], 1)])
    assert (cold.shared, warm.shared) == ((0,), (30, 0))
    fresh = rows(model).admit([([*long[:30], 99], 1)])
    assert fresh.shared == (0,)
    torch.testing.assert_close(warm.logits[0], fresh.logits[0], atol=1e-4, rtol=1e-4)
    again = decoder.admit([(long, 1)])
    assert again.shared == (len(long) - 1,)
    torch.testing.assert_close(again.logits, cold.logits, atol=1e-4, rtol=1e-4)


def test_the_paths_of_a_search_stay_in_rows_that_others_do_not_take():
    """Four paths end; each is gone on with by two prompts at once, in an order that would overwrite them."""
    model, riders = llama(), [None] * 4
    decoder = rows(model, size=12)
    paths = [[0, *range(10, 30), 40 + number, 50 + number] for number in range(4)]
    decoder.admit([(path, 1) for path in paths])
    while riders:
        decoder.retire(0, riders)
    children = [[*paths[number], 60 + child, 70] for number in (3, 1, 2, 0) for child in range(2)]
    read = decoder.admit([(child, 1) for child in children])
    assert read.shared == (23,) * 8
    fresh = rows(model, size=12).admit([(child, 1) for child in children])
    torch.testing.assert_close(read.logits, fresh.logits, atol=1e-4, rtol=1e-4)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 3), min_size=1, max_size=3), st.integers(1, 4))
def test_rows_that_end_do_not_disturb_those_that_live(ended, copies):
    model = llama()
    for decoder in (rows(model), Gangs(model, 8, 128)):
        riders = []
        for number, prompt in enumerate(PROMPTS[1:]):
            riders.append((number + 1, [int(decoder.admit([(prompt, 1)]).logits.argmax())]))
        logits = decoder.admit([(PROMPTS[0], copies)]).logits
        riders += [(0, [int(logits.argmax())]) for _ in range(copies)]
        for place in ended:
            if place < decoder.active - 1:
                decoder.retire(place, riders)
            logits = decoder.step(torch.tensor([told[-1] for _, told in riders]))
            for (_, told), token in zip(riders, logits.argmax(-1).tolist(), strict=True):
                told.append(token)
        for number, told in riders:
            assert told == generated(model, PROMPTS[number], len(told))


def test_too_many_rows_or_too_long_a_prompt_are_refused():
    decoder = rows(llama(), size=2, context=16)
    with pytest.raises(ValueError, match="no room"):
        decoder.admit([([0, 1, 2], 3)])
    with pytest.raises(ValueError, match="no room"):
        decoder.admit([(list(range(17)), 1)])
