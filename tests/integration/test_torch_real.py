"""The torch engine on a real model."""

import contextlib

import pytest
import torch

from poise.core import Request, Sampling
from poise.draws import Collected
from poise.engines.llamacpp import LlamaCpp
from poise.engines.torch_lm import TorchLM

QUESTIONS = ["What is the capital of France?", "Name three colours.", "What is 2 + 3?"]


async def draft(engine, request, sampling):
    got = Collected(0.0)
    stream = engine.stream(request.messages, sampling)
    async for delta in stream:
        got.add(delta, lambda: 0.0)
    await stream.aclose()
    return got.draft()


@pytest.fixture(scope="module")
def engine(base_model):
    return TorchLM(str(base_model.path), slots=8, context=256, dtype="float32")


async def test_greedy_texts_are_those_of_generate(engine):
    async with contextlib.aclosing(engine):
        for question in QUESTIONS:
            request = Request.ask(question)
            ids = engine.ids(request.messages)
            out = engine.model().generate(torch.tensor([ids]), max_new_tokens=24, do_sample=False)[0, len(ids) :]
            found = await draft(engine, request, Sampling(temperature=0, max_tokens=24))
            assert list(found.token_ids) == out.tolist()


async def test_it_gives_the_probabilities_that_llama_cpp_gives(engine):
    """Two implementations, one file. llama.cpp rounds activations to 8 bits, so they differ by a few hundredths."""
    sampling = Sampling(temperature=0, max_tokens=1, top_logprobs=3)
    async with (
        contextlib.aclosing(engine),
        contextlib.aclosing(LlamaCpp("smollm2-135m-instruct", slots=1, context=256)) as other,
    ):
        for question in QUESTIONS:
            request = Request.ask(question)
            ours, theirs = await draft(engine, request, sampling), await draft(other, request, sampling)
            assert ours.alternatives[0] == pytest.approx(theirs.alternatives[0], abs=0.2)
