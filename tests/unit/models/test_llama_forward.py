"""The plain forward pass against that of transformers, on a tiny random model."""

import pytest
import torch
from peft import LoraConfig, get_peft_model
from tiny_lm import mistral
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

from poise.models.llama import hidden_states, view_of

WORDS, LENGTH = 101, 19
TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")


def llama(**settings):
    torch.manual_seed(1)
    shape = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
    shape |= {"num_key_value_heads": 2, "rms_norm_eps": 1e-5, "vocab_size": WORDS}
    return LlamaForCausalLM(LlamaConfig(**(shape | settings))).eval()


def with_adapter(model):
    wrapped = get_peft_model(model, LoraConfig(r=3, lora_alpha=9, target_modules=TARGETS))
    torch.manual_seed(2)
    for name, parameter in wrapped.named_parameters():
        if "lora_" in name:
            parameter.data.normal_(std=0.3)
    return wrapped.eval()


def causal(length):
    return torch.full((length, length), float("-inf")).triu(1)[None, None]


def tokens_of(batch, length=LENGTH):
    return torch.randint(WORDS, (batch, length), generator=torch.Generator().manual_seed(3))


def close(found, wanted):
    torch.testing.assert_close(found, wanted, rtol=1e-3, atol=2e-4)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"num_key_value_heads": 4},
        {"head_dim": 16},
        {"rope_parameters": {"rope_type": "default", "rope_theta": 100.0}},
        {"tie_word_embeddings": True},
    ],
)
@torch.no_grad()
def test_hidden_states_are_those_of_transformers(settings):
    model, tokens = llama(**settings), tokens_of(3)
    positions = torch.arange(LENGTH).expand(3, -1)
    found = hidden_states(view_of(model), tokens, positions, causal(LENGTH))
    close(found, model.model(tokens).last_hidden_state)
    close(found @ view_of(model).head.T, model(tokens).logits)


@torch.no_grad()
def test_an_adapter_is_applied():
    model, tokens = llama(), tokens_of(2)
    positions = torch.arange(LENGTH).expand(2, -1)
    plain = model.model(tokens).last_hidden_state
    wrapped = with_adapter(model)
    found = hidden_states(view_of(wrapped), tokens, positions, causal(LENGTH))
    close(found, wrapped.base_model.model.model(tokens).last_hidden_state)
    assert (found - plain).abs().max() > 0.1


def test_gradients_of_an_adapter_are_those_of_transformers():
    wrapped, tokens = with_adapter(llama()), tokens_of(2)
    trained = [(name, p) for name, p in wrapped.named_parameters() if p.requires_grad]
    positions = torch.arange(LENGTH).expand(2, -1)
    hidden_states(view_of(wrapped), tokens, positions, causal(LENGTH)).square().mean().backward()
    found = {name: p.grad.clone() for name, p in trained}
    wrapped.zero_grad()
    wrapped.base_model.model.model(tokens).last_hidden_state.square().mean().backward()
    assert len(found) == 2 * 2 * len(TARGETS)
    for name, parameter in trained:
        torch.testing.assert_close(found[name], parameter.grad, rtol=1e-3, atol=1e-6)


@torch.no_grad()
def test_packed_examples_do_not_see_each_other():
    view = view_of(with_adapter(llama()))
    first, second = tokens_of(1, 7), tokens_of(1, 12)
    apart = [
        hidden_states(view, tokens, torch.arange(tokens.shape[1])[None], causal(tokens.shape[1]))
        for tokens in (first, second)
    ]
    segments = torch.tensor([0] * 7 + [1] * 12)
    mask = causal(19).masked_fill(segments[:, None] != segments[None, :], float("-inf"))
    positions = torch.cat((torch.arange(7), torch.arange(12)))[None]
    together = hidden_states(view, torch.cat((first, second), 1), positions, mask)
    close(together, torch.cat(apart, 1))


@torch.no_grad()
@pytest.mark.parametrize("sliding", [None, LENGTH])
def test_a_mistral_is_a_llama_within_its_window(sliding):
    model, tokens = mistral(sliding_window=sliding), tokens_of(2)
    view = view_of(model)
    assert view.shape.window == (sliding or 512)
    found = hidden_states(view, tokens, torch.arange(LENGTH).expand(2, -1), causal(LENGTH))
    close(found @ view.head.T, model(tokens).logits)


@torch.no_grad()
def test_beyond_its_window_it_is_none():
    """So the window has to bound what is read."""
    model, tokens = mistral(sliding_window=LENGTH - 4), tokens_of(2)
    found = hidden_states(view_of(model), tokens, torch.arange(LENGTH).expand(2, -1), causal(LENGTH))
    apart = (found @ view_of(model).head.T - model(tokens).logits).abs().amax((0, 2))
    assert apart[: LENGTH - 4].max() < 1e-3 < apart[-1]


def test_models_of_another_kind_have_no_view():
    assert view_of(GPT2LMHeadModel(GPT2Config(n_layer=1, n_head=2, n_embd=8, vocab_size=11))) is None
    assert view_of(llama(attention_bias=True)) is None
    assert view_of(llama(mlp_bias=True)) is None
    scaled = {"rope_type": "linear", "factor": 2.0, "rope_theta": 1e4}
    assert view_of(llama(rope_parameters=scaled)) is None
    assert view_of(llama()) is not None
