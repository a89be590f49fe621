"""A tiny model that decodes, and twelve sums to ask it."""

import json

import pytest
from tiny_lm import dense, llama

from poise.engines.torch_lm import TorchLM
from poise.evals.tasks import load_task


@pytest.fixture
async def engine():
    made = TorchLM(dense(llama()), slots=16, context=256)
    yield made
    await made.aclose()


@pytest.fixture
def task(tmp_path):
    path = tmp_path / "sums.jsonl"
    rows = ({"question": f"What is {k} + 1?", "answer": str(k + 1), "kind": "number"} for k in range(12))
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return load_task(str(path))
