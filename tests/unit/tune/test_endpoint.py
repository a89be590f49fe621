"""Tuning for an endpoint: by reflection over HTTP, and by the local twin of what it serves."""

import asyncio
import sys
from pathlib import Path

from scripted_task import GOOD, SUM, WORD, script, sums

from poise.tune import Optimizer, StepSettings, TuneBudget

sys.path.append(str(Path(__file__).parents[1] / "engines"))
sys.path.append(str(Path(__file__).parents[1] / "lab"))
import tiny
from loopback import DONE, Upstream, chunk, usage

EXAMPLE = Path(__file__).parents[3] / "examples" / "tune_twin.py"


def exact(example, prediction, trace=None):
    return example.answer == prediction.answer


async def law(wire):
    """Right where the prompt holds the word; proposes it; else one too many."""
    asked = wire.body["messages"][-1]["content"]
    if not SUM.search(asked) or "# Example 1" in asked:
        said = f"```\n{GOOD}\n```"
    else:
        told = script(asked)
        said = told.answers[0 if WORD in asked else 1][0]
    await wire.stream(chunk(said), chunk("", finish="stop"), usage(4, 20), DONE)


async def test_reflection_over_http(tmp_path):
    async with Upstream(law) as upstream:
        optimizer = Optimizer(
            exact,
            engine=f"{upstream.url} m",
            budget=TuneBudget(tokens=4000),
            run_dir=tmp_path / "run",
            by="gepa",
            step=StepSettings(reasoning_tokens=16),
        )
        found = await optimizer.acompile("Go on.", trainset=sums(8), valset=sums(20, 50))
        asked = len(upstream.asked)
    assert (found.best, found.shown) == (GOOD, True)
    assert found.tuned.gain.mean == 1.0
    assert found.tuned.spent.tokens <= 4000
    assert asked == found.tuned.spent.calls + 40, "two finalists were judged on twenty questions each"
    assert {wire.body["max_tokens"] for wire in upstream.asked} == {16, 512}


async def test_the_example_tunes_on_the_twin_and_asks_the_server(tmp_path):
    model = tiny.saved(tmp_path / "model")
    async with Upstream(law) as upstream:
        words = (sys.executable, EXAMPLE, model, upstream.url, "m")
        running = await asyncio.create_subprocess_exec(
            *map(str, words), cwd=tmp_path, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        out, error = await running.communicate()
        assert running.returncode == 0, error.decode()
        [asked] = upstream.asked
    assert asked.body["messages"] == [{"role": "user", "content": "What is 17 + 25?\nLet us think."}]
    assert "answer     43" in out.decode()
    assert "no gain is shown" in out.decode()
    assert (tmp_path / "runs" / "twin" / "prompt.md").exists()
