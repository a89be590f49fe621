"""A tiny model that decodes, and twelve sums to ask it; and one with a word planted that makes it right."""

import json

import pytest
from planted import planted
from tiny_lm import dense, llama

from poise.engines.torch_lm import TorchLM
from poise.evals.tasks import load_task


@pytest.fixture
async def engine():
    made = TorchLM(dense(llama()), slots=16, context=256)
    yield made
    await made.aclose()


@pytest.fixture(scope="session")
def knowing():
    """The planted model, trained once."""
    return planted()


@pytest.fixture
async def planted_engine(knowing):
    made = TorchLM(knowing, slots=64, context=128)
    yield made
    await made.aclose()


@pytest.fixture
def task(tmp_path):
    return _task(tmp_path / "sums.jsonl", ((f"What is {k} + 1?", k + 1) for k in range(12)))


@pytest.fixture
def planted_task(tmp_path):
    """A digit to be repeated, forty times."""
    return _task(tmp_path / "digits.jsonl", ((f"{k % 9 + 1}?", k % 9 + 1) for k in range(40)))


def _task(path, rows):
    lines = ({"question": question, "answer": f"{answer}", "kind": "number"} for question, answer in rows)
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return load_task(str(path))
