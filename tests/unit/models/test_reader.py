import pytest
import torch
from tiny_lm import dense, gpt2, llama

from poise.errors import ConfigError
from poise.models.llama import view_of
from poise.models.reader import Asked, load_reader, read

PROMPTS = ([0, 5, 9, 40], [0, 9], [0, *range(20, 50)])
TEXTS = ([[7, 8, 9], [200], [3, 4, 5, 6, 7, 8]], [[11, 12]], [[1, 2, 3], [90, 91, 92, 93]])


@pytest.mark.parametrize("layers", [(1,), (2,), (1, 2)])
def test_states_are_those_of_transformers_whatever_is_read_together(layers):
    model = llama()
    found = read(view_of(model), [Asked(*each) for each in zip(PROMPTS, TEXTS, strict=True)], layers)
    assert [len(part) for part in found] == [3, 1, 2]
    captured = {}
    for number, layer in enumerate(model.model.layers, 1):
        layer.register_forward_hook(lambda module, args, out, number=number: captured.update({number: out}))
    for prompt, texts, states in zip(PROMPTS, TEXTS, found, strict=True):
        for text, state in zip(texts, states, strict=True):
            with torch.no_grad():
                model(input_ids=torch.tensor([prompt + text]))
            told = [captured[layer] if captured[layer].dim() == 2 else captured[layer][0] for layer in layers]
            torch.testing.assert_close(state, torch.cat(told, -1)[len(prompt) :], atol=1e-4, rtol=1e-4)


def test_surprise_is_minus_the_logprob_of_each_token():
    model = llama()
    found = read(view_of(model), [Asked(*each) for each in zip(PROMPTS, TEXTS, strict=True)], (1,), surprise=True)
    for prompt, texts, states in zip(PROMPTS, TEXTS, found, strict=True):
        for text, state in zip(texts, states, strict=True):
            with torch.no_grad():
                logits = model(input_ids=torch.tensor([prompt + text])).logits[0, len(prompt) - 1 : -1]
            wanted = torch.nn.functional.cross_entropy(logits, torch.tensor(text), reduction="none")
            torch.testing.assert_close(state[:, -1], wanted, atol=1e-4, rtol=1e-4)
            assert state.shape == (len(text), 33)


def test_surprise_alone_reads_no_states():
    model = view_of(llama())
    asked = [Asked(*each) for each in zip(PROMPTS, TEXTS, strict=True)]
    with_states, alone = (read(model, asked, layers, surprise=True) for layers in ((1,), ()))
    for states, columns in zip(with_states, alone, strict=True):
        for state, column in zip(states, columns, strict=True):
            torch.testing.assert_close(column, state[:, -1:], atol=1e-6, rtol=1e-6)


def test_a_reader_knows_the_tokens_that_end_a_line():
    reader = load_reader(dense())
    newline = reader.tokenizer("\n", add_special_tokens=False).input_ids[0]
    assert reader.newlines == {newline}


def test_another_family_is_refused():
    with pytest.raises(ConfigError, match="llama-family"):
        load_reader(dense(gpt2()))
