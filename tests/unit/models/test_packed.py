"""Matrices laid out for decoding in bfloat16 give what the plain ones give in float32, but for rounding."""

import pytest
import torch
from peft import LoraConfig, get_peft_model
from tiny_lm import llama

from poise.models import packed
from poise.models.decode import Rows
from poise.models.llama import packed_twin, view_of

pytestmark = [
    pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="PyTorch without oneDNN"),
    pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning"),
]
PROMPTS = [([0, 5, 9, 40, 7], 1), ([0, *range(20, 60)], 2)]


def stepped(model):
    """Logits after the prompts and after one more token for each row."""
    rows = Rows(view_of(model), 4, 128)
    return torch.cat((rows.admit(PROMPTS).logits.float(), rows.step(torch.tensor([3, 4, 5])).float()))


def with_adapter(model):
    wrapped = get_peft_model(model, LoraConfig(r=3, lora_alpha=9, target_modules=["q_proj", "v_proj", "down_proj"]))
    torch.manual_seed(2)
    for name, parameter in wrapped.named_parameters():
        if "lora_" in name:
            parameter.data.normal_(std=0.1)
    return wrapped.eval()


@pytest.mark.parametrize("change", [lambda model: model, with_adapter])
def test_logits_are_as_near_as_those_of_plain_matrices(change, monkeypatch):
    model = change(llama())
    wanted = stepped(model)
    narrow = model.to(torch.bfloat16)
    assert packed_twin(view_of(narrow)).layers[0].heads is not None
    found = stepped(narrow)
    monkeypatch.setattr(packed, "MOST_BYTES", 0)
    plain = stepped(narrow)
    assert not torch.equal(found, plain)  # both ways have been taken
    assert float((found - wanted).abs().mean()) < 1.3 * float((plain - wanted).abs().mean())


def test_the_feed_forward_part_is_fused_right():
    torch.manual_seed(1)
    x, gate, up, down = (torch.randn(*size).bfloat16() for size in ((5, 32), (48, 32), (48, 32), (32, 48)))
    inner = packed.gated(x, packed.laid_out(gate), packed.laid_out(up))
    wanted = torch.nn.functional.silu(x.float() @ gate.float().T) * (x.float() @ up.float().T)
    torch.testing.assert_close(inner.float(), wanted, rtol=0.02, atol=0.05)
    found = packed.added(x, inner, packed.laid_out(down))
    torch.testing.assert_close(found.float(), x.float() + inner.float() @ down.float().T, rtol=0.02, atol=0.5)


def test_float32_and_large_models_stay_as_they_are(monkeypatch):
    plain = view_of(llama())
    assert packed_twin(plain) is plain
    narrow = view_of(llama().to(torch.bfloat16))
    monkeypatch.setattr(packed, "MOST_BYTES", 1000)
    assert packed_twin(narrow) is narrow
