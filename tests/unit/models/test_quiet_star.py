"""Quiet-STaR's invariants, on tiny random models of two families."""

import pytest
import torch
from tiny_lm import gpt2, llama, tokenizer

from poise.errors import ConfigError
from poise.models.llama import layer_forward
from poise.models.quiet_star.config import Bound, QuietStarConfig
from poise.models.quiet_star.model import Mixer, QuietStar
from poise.models.quiet_star.thoughts import new_cache, parallel, retold
from poise.models.sampling import inverse

IDS = torch.tensor([[5, 9, 77, 41, 9, 130, 12], [200, 3, 3, 18, 99, 7, 250]])


def wrapped(make=llama, trained=True, **knobs):
    """A model with thoughts; `trained`: its mixing head moved away from zero."""
    torch.manual_seed(7)
    made = QuietStar(make(), tokenizer(), QuietStarConfig(**{"n_ahead": 6, "n_ahead_talk": 3} | knobs))
    if trained:
        torch.nn.init.normal_(made.mixer.last.weight, std=0.5)
        torch.nn.init.normal_(made.end, std=0.01)
    return made.eval()


def numbers_of(model, seed=0):
    return torch.rand(*IDS.shape, model.config.thought_tokens, generator=torch.Generator().manual_seed(seed)).double()


def by_hand(model, text, thought, talk):
    """The state after text, start, thought tokens, end and talk, read in one go as an ordinary sequence."""
    start, end = model.marks()
    parts = [model.embedded(text), start[None], model.embedded(thought), end[None], model.embedded(talk)]
    whole = torch.cat(parts)[None]
    mask = torch.full((whole.shape[1],) * 2, float("-inf")).triu(1)[None, None]
    return model.states(whole, mask, torch.arange(whole.shape[1])[None], new_cache(model))[0, -1]


@pytest.mark.parametrize("make", [llama, gpt2])
@torch.no_grad()
def test_a_fresh_model_is_its_base(make):
    model = wrapped(make, trained=False)
    found = parallel(model, IDS, numbers_of(model))
    plain = model.model(IDS).logits
    torch.testing.assert_close(model.logits(found.base), plain, atol=1e-5, rtol=1e-5)
    assert (found.weights == 0).all()
    assert torch.equal(found.mixed[:, :, 0], found.base.float())


@pytest.mark.parametrize("make", [llama, gpt2])
@torch.no_grad()
def test_every_place_thinks_as_if_it_stood_alone(make):
    """All positions in parallel, each against its own plain sequence: text up to there, thought, and talk."""
    model = wrapped(make)
    found = parallel(model, IDS, numbers_of(model))
    length = IDS.shape[1]
    for row in range(len(IDS)):
        for place in range(length):
            for ahead in range(min(model.config.n_ahead_talk, length - place)):
                talk = IDS[row, place + 1 : place + 1 + ahead]
                alone = by_hand(model, IDS[row, : place + 1], found.tokens[row, place], talk)
                mixed, weight = model.mixed(found.base[row, place + ahead], alone)
                torch.testing.assert_close(found.mixed[row, place, ahead], mixed, atol=1e-4, rtol=1e-4)
                torch.testing.assert_close(found.weights[row, place, ahead], weight, atol=1e-4, rtol=1e-4)


def at_the_end(model, base, cache, place, numbers):
    """The mixed state after a thought behind the last token alone, one place at a time; the cache is left as it was."""
    kept = cache.get_seq_length()
    start, end = (mark.expand(len(base), 1, -1) for mark in model.marks())

    def passed(embeddings):
        seen = cache.get_seq_length() + 1
        where = torch.full((len(base), 1), place + seen - kept)
        return model.states(embeddings, torch.zeros(1, 1, 1, seen), where, cache)[:, 0]

    state = passed(start)
    for column in range(model.config.thought_tokens):
        tokens = inverse(torch.softmax(model.logits(state).float(), -1), numbers[:, column])
        state = passed(model.embedded(tokens[:, None]))
    thought = passed(end)
    cache.crop(kept - cache.get_seq_length())  # negative: so many off the end
    return model.mixed(base, thought)[0]


@pytest.mark.parametrize("make", [llama, gpt2])
@torch.no_grad()
def test_parallel_thoughts_are_sequential_ones(make):
    model, places = wrapped(make), range(IDS.shape[1])
    numbers = numbers_of(model)
    found = parallel(model, IDS, numbers)
    cache = new_cache(model)
    for place in places:
        mask = torch.zeros(1, 1, 1, place + 1)
        where = torch.full((len(IDS), 1), place)
        base = model.states(model.embedded(IDS[:, place, None]), mask, where, cache)[:, 0]
        torch.testing.assert_close(base, found.base[:, place], atol=1e-5, rtol=1e-5)
        mixed = at_the_end(model, base, cache, place, numbers[:, place])
        torch.testing.assert_close(mixed, found.mixed[:, place, 0], atol=1e-4, rtol=1e-4)
        assert cache.get_seq_length() == place + 1


@pytest.mark.parametrize(("make", "forward"), [(llama, None), (llama, layer_forward), (gpt2, None)])
def test_known_thoughts_are_told_again_in_one_pass(make, forward):
    model = wrapped(make)
    with torch.no_grad():
        found = parallel(model, IDS, numbers_of(model))
    again = retold(model, IDS, found.tokens, forward)
    for name in ("base", "mixed", "weights", "sources"):
        torch.testing.assert_close(getattr(again, name).detach(), getattr(found, name), atol=1e-4, rtol=1e-4)
    again.mixed.sum().backward()
    assert model.start.grad.abs().sum() > 0


@torch.no_grad()
def test_thoughts_change_with_their_numbers_and_nothing_else_does():
    model = wrapped()
    one, other = (parallel(model, IDS, numbers_of(model, seed)) for seed in (0, 1))
    assert not torch.equal(one.tokens, other.tokens)
    assert torch.equal(one.base, other.base)
    assert torch.equal(parallel(model, IDS, numbers_of(model)).tokens, one.tokens)
    assert one.sources.shape == (*one.tokens.shape, 32)


@torch.no_grad()
def test_a_filler_takes_the_place_of_every_thought_token():
    model = wrapped()
    found = parallel(model, IDS, numbers_of(model), filler=42)
    assert (found.tokens == 42).all()


@torch.no_grad()
def test_a_thought_may_be_empty():
    model = wrapped(n_ahead=3, n_ahead_talk=1)
    found = parallel(model, IDS, numbers_of(model))
    assert found.tokens.shape == (*IDS.shape, 0)
    assert found.mixed.shape[2] == 1


def test_only_thoughts_and_mixing_get_gradients():
    model = wrapped()
    for parameter in model.model.parameters():
        parameter.requires_grad_(False)
    found = parallel(model, IDS, numbers_of(model))
    model.logits(found.mixed).float().logsumexp(-1).sum().backward()
    assert all(parameter.grad is not None for name, parameter in model.named_parameters() if "model." not in name)
    assert model.start.grad.abs().sum() > 0
    assert model.end.grad.abs().sum() > 0


def test_bounds_of_the_mixing_weight():
    states = torch.randn(2, 50, 8) * 9
    for bound, low in ((Bound.CLAMP, 0.0), (Bound.TANH, -1.0)):
        mixer = Mixer(8, bound)
        assert (mixer(*states) == 0).all()
        torch.nn.init.normal_(mixer.last.weight, std=20)
        weights = mixer(*states).detach()
        assert low <= float(weights.min()) < float(weights.max()) <= 1


@pytest.mark.parametrize("knob", ["n_ahead", "n_ahead_talk", "n_passes", "embedding_scale"])
def test_absurd_numbers_are_refused(knob):
    with pytest.raises(ConfigError, match=knob):
        QuietStarConfig(**{knob: 0})


def test_texts_beyond_the_window_are_refused():
    model = wrapped()
    long = torch.zeros(1, 512 - model.config.columns + 1, dtype=torch.long)
    with pytest.raises(ConfigError, match="tokens of a text"):
        parallel(model, long, torch.rand(1, long.shape[1], 3))
    with pytest.raises(ConfigError, match="initial_start_token"):
        QuietStar(llama(), tokenizer(), QuietStarConfig(initial_start_token=""))
