"""Weights are held in float32 where the processor has nothing to multiply bfloat16 with, and keep their values."""

import pytest
import torch
from tiny_lm import llama, tokenizer

from poise.models import dense
from poise.models.dense import load_dense


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("model")
    llama().to(torch.bfloat16).save_pretrained(path)
    tokenizer().save_pretrained(path)
    return str(path)


def processor(monkeypatch, **capabilities):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_f": True, "cpu_name": "it", **capabilities})


@pytest.mark.parametrize("name", ["amx_bf16", "avx512_bf16", "sve_bf16", "bf16"])
def test_bfloat16_stays_where_the_processor_multiplies_it(folder, monkeypatch, name):
    processor(monkeypatch, **{name: True})
    assert load_dense(folder, device="cpu").model.dtype == torch.bfloat16


def test_without_it_weights_are_widened_and_the_same(folder, monkeypatch):
    processor(monkeypatch, amx_bf16=False, avx512_bf16=False)
    wide, narrow = (load_dense(folder, dtype, device="cpu").model for dtype in ("auto", "bfloat16"))
    assert (wide.dtype, narrow.dtype) == (torch.float32, torch.bfloat16)
    pairs = zip(wide.parameters(), narrow.parameters(), strict=True)
    assert all(torch.equal(one, other.float()) for one, other in pairs)


def test_large_models_are_not_widened(folder, monkeypatch):
    processor(monkeypatch)
    size = 4 * sum(weight.numel() for weight in load_dense(folder, device="cpu").model.parameters())
    monkeypatch.setattr(dense, "MOST_BYTES", size)
    assert load_dense(folder, device="cpu").model.dtype == torch.float32
    monkeypatch.setattr(dense, "MOST_BYTES", size - 1)
    assert load_dense(folder, device="cpu").model.dtype == torch.bfloat16
