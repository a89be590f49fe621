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
    for number, prompt in enumerate(prompts):
        logits, _, _ = decoder.admit(prompt)
        riders.append(number)
        following.append(int(logits.argmax()))
        made[number].append(following[-1])
    for _ in range(new_tokens - 1):
        logits, _ = decoder.step(torch.tensor(following))
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
    alone, _, cold = decoder.admit(long)
    again, _, warm = decoder.admit([*long[:30], 99])
    assert (cold, warm) == (0, 30)
    fresh, _, none = rows(model).admit([*long[:30], 99])
    assert none == 0
    torch.testing.assert_close(again, fresh, atol=1e-4, rtol=1e-4)
    same, _, all_but_one = decoder.admit(long)
    assert all_but_one == len(long) - 1
    torch.testing.assert_close(same, alone, atol=1e-4, rtol=1e-4)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 3), min_size=1, max_size=3), st.integers(1, 4))
def test_rows_that_end_do_not_disturb_those_that_live(ended, copies):
    model = llama()
    for decoder in (rows(model), Gangs(model, 8, 128)):
        riders = []
        for number, prompt in enumerate(PROMPTS[1:]):
            logits, _, _ = decoder.admit(prompt)
            riders.append((number + 1, [int(logits.argmax())]))
        logits, _, _ = decoder.admit(PROMPTS[0], copies)
        riders += [(0, [int(logits.argmax())]) for _ in range(copies)]
        for place in ended:
            if place < decoder.active - 1:
                decoder.retire(place, riders)
            logits, _ = decoder.step(torch.tensor([told[-1] for _, told in riders]))
            for (_, told), token in zip(riders, logits.argmax(-1).tolist(), strict=True):
                told.append(token)
        for number, told in riders:
            assert told == generated(model, PROMPTS[number], len(told))


def test_too_many_rows_or_too_long_a_prompt_are_refused():
    decoder = rows(llama(), size=2, context=16)
    with pytest.raises(ValueError, match="no room"):
        decoder.admit([0, 1, 2], copies=3)
    with pytest.raises(ValueError, match="no room"):
        decoder.admit(list(range(17)))
