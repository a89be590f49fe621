"""The embedded engine, for real: llama.cpp in a child process and a real model."""

import asyncio
import json
import re
import signal
import subprocess
import sys
import time
import urllib.request
from contextlib import aclosing
from dataclasses import replace

import psutil
import pytest

from poise.core import Ability, Finish, Message, Role, Sampling
from poise.errors import ConfigError, EngineRefused, EngineUnreachable, ModelError
from poise.testing import check_engine

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(90)]

STORY = (Message(Role.USER, "Tell a long story about a lighthouse keeper and the sea."),)
SUM = (Message(Role.USER, "What is 2 + 3? Answer with the number only."),)
GREEDY = Sampling(temperature=0.0, max_tokens=24)


async def drawn(engine, prompt=STORY, sampling=GREEDY, n=1):
    """Texts, finishes and token counts of n samples, and the overrun."""
    stream = engine.stream(prompt, sampling, n)
    texts, finishes, tokens = [""] * n, [None] * n, [0] * n
    async for delta in stream:
        texts[delta.index] += delta.text
        tokens[delta.index] += delta.tokens
        finishes[delta.index] = finishes[delta.index] or delta.finish
    overrun = await stream.aclose()
    return texts, finishes, tokens, overrun


async def drain(deltas):
    async for _ in deltas:
        pass


def asked(engine, path):
    """What the server itself says."""
    address = engine._process.running
    request = urllib.request.Request(address.url + path, headers={"Authorization": f"Bearer {address.key}"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return answer.read().decode()


async def predicted(engine):
    """Tokens that the server counts as generated, once all its slots are idle."""
    for _ in range(100):
        if not any(slot["is_processing"] for slot in json.loads(await asyncio.to_thread(asked, engine, "/slots"))):
            break
        await asyncio.sleep(0.05)
    else:
        pytest.fail("slots are still busy 5 s after the draws ended")
    metrics = await asyncio.to_thread(asked, engine, "/metrics")
    return int(re.search(r"tokens_predicted_total (\d+)", metrics)[1])


def children():
    """Servers that this process has started and that run."""
    return [child for child in psutil.Process().children() if "poise.engines.llamacpp_process" in child.cmdline()]


async def test_the_laws_of_an_engine_hold(llamacpp):
    await check_engine(llamacpp)


async def test_a_draw_ends_by_itself(llamacpp):
    (text,), finishes, (tokens,), overrun = await drawn(llamacpp, SUM)
    assert "5" in text
    assert finishes == [Finish.EOS]
    assert 1 <= tokens < GREEDY.max_tokens
    assert (overrun.tokens, overrun.exact) == (0, True)


async def test_a_draw_ends_at_its_length(llamacpp):
    _, finishes, tokens, _ = await drawn(llamacpp)
    assert (finishes, tokens) == ([Finish.LENGTH], [GREEDY.max_tokens])


async def test_a_draw_ends_at_a_delimiter_which_belongs_to_it(llamacpp):
    (whole,), *_ = await drawn(llamacpp)
    delimiter = whole.split()[3]
    (text,), finishes, *_ = await drawn(llamacpp, sampling=replace(GREEDY, stop=(delimiter,)))
    assert finishes == [Finish.DELIMITER]
    assert text == whole[: whole.index(delimiter)] + delimiter


async def test_samples_of_one_call_differ(llamacpp):
    texts, finishes, tokens, _ = await drawn(llamacpp, STORY, Sampling(temperature=1.0, max_tokens=16), n=4)
    assert len(set(texts)) > 1
    assert set(finishes) <= {Finish.LENGTH, Finish.EOS}
    assert all(1 <= count <= 16 for count in tokens)


async def test_more_samples_than_slots_are_refused(llamacpp):
    with pytest.raises(EngineRefused):
        await drawn(llamacpp, n=17)


async def test_logprobs(llamacpp):
    deltas = [d async for d in llamacpp.stream(STORY, replace(GREEDY, max_tokens=8, top_logprobs=3))]
    logprobs = [logprob for delta in deltas for logprob in delta.logprobs]
    alternatives = [top for delta in deltas for top in delta.alternatives]
    assert len(logprobs) == len(alternatives) == 8
    assert all(len(top) == 3 and top[0] >= top[1] >= top[2] for top in alternatives)
    assert logprobs == pytest.approx([top[0] for top in alternatives])
    assert max(logprobs) <= 0


async def test_a_continued_prefix_goes_on_as_if_never_interrupted(llamacpp):
    (whole,), *_ = await drawn(llamacpp)
    (start,), *_ = await drawn(llamacpp, sampling=replace(GREEDY, max_tokens=10))
    (rest,), *_ = await drawn(llamacpp, (*STORY, Message(Role.ASSISTANT, start)), replace(GREEDY, max_tokens=14))
    assert start
    assert start + rest == whole


async def test_a_prompt_drawn_again_is_read_from_the_cache(llamacpp):
    prompt = (Message(Role.USER, "How do tides depend on the moon, and how on the sun? " * 3),)
    await drawn(llamacpp, prompt, replace(GREEDY, max_tokens=1))
    deltas = [d async for d in llamacpp.stream(prompt, replace(GREEDY, max_tokens=1))]
    (prompt_tokens,) = [d.prompt_tokens for d in deltas if d.prompt_tokens is not None]
    assert prompt_tokens - 1 == sum(d.cached_tokens or 0 for d in deltas)


async def test_a_closed_stream_frees_its_slot(llamacpp):
    stream = llamacpp.stream(STORY, Sampling(max_tokens=400))
    async with aclosing(stream):
        async for delta in stream:
            if delta.tokens:
                break
    closed = time.perf_counter()
    await predicted(llamacpp)
    assert time.perf_counter() - closed < 3
    assert llamacpp.load().in_flight == 0


async def test_sixteen_draws_at_once_are_billed_as_the_server_counts(llamacpp):
    before = await predicted(llamacpp)
    sampling = Sampling(temperature=1.0, max_tokens=12)
    draws = await asyncio.gather(
        *(drawn(llamacpp, (Message(Role.USER, f"Describe {i}."),), sampling) for i in range(16))
    )
    billed = sum(tokens[0] + overrun.tokens for _, _, tokens, overrun in draws)
    assert billed == pytest.approx(await predicted(llamacpp) - before, rel=0.01)


async def test_draws_beyond_the_slots_wait_here(llamacpp):
    draws = [asyncio.create_task(drawn(llamacpp, STORY, Sampling(max_tokens=8))) for _ in range(20)]
    most_waiting = 0
    while not all(draw.done() for draw in draws):
        load = llamacpp.load()
        assert (load.slots, load.in_flight <= 16) == (16, True)
        most_waiting = max(most_waiting, load.queued)
        await asyncio.sleep(0.01)
    assert most_waiting >= 4
    assert all(draw.result()[1][0] for draw in draws)


async def test_two_first_draws_start_one_server_and_the_loop_goes_on(own_llamacpp):
    engine, before, turns = own_llamacpp(), len(children()), 0
    draws = [asyncio.create_task(drawn(engine, SUM)) for _ in range(2)]
    while engine._process.running is None:
        await asyncio.sleep(0.02)
        turns += 1
    assert turns >= 5
    assert [finishes for _, finishes, *_ in await asyncio.gather(*draws)] == [[Finish.EOS]] * 2
    assert len(children()) == before + 1


async def test_one_slot_honours_seeds(own_llamacpp):
    engine = own_llamacpp(slots=1)
    assert Ability.SEEDS in engine.can
    sampling = Sampling(temperature=1.0, max_tokens=12, seed=11)
    first, *_ = await drawn(engine, STORY, sampling)
    between, *_ = await drawn(engine, STORY, replace(sampling, seed=12))
    again, *_ = await drawn(engine, STORY, sampling)
    assert first == again != between
    await engine.aclose()
    assert (await drawn(engine, STORY, sampling))[0] == first


async def test_a_server_killed_in_mid_draw_is_an_engine_error_and_starts_again(own_llamacpp):
    engine = own_llamacpp()
    stream = engine.stream(STORY, Sampling(max_tokens=200))
    deltas = aiter(stream)
    await anext(deltas)
    server = engine._process._child
    server.kill()
    with pytest.raises(EngineUnreachable):
        await drain(deltas)
    await stream.aclose()
    await asyncio.to_thread(server.wait)
    assert (await drawn(engine, SUM))[1] == [Finish.EOS]


async def test_closing_the_engine_ends_its_draws_and_its_server(own_llamacpp):
    engine = own_llamacpp()
    stream = engine.stream(STORY, Sampling(max_tokens=200))
    deltas = aiter(stream)
    await anext(deltas)
    server = engine._process._child
    await engine.aclose()
    assert server.returncode is not None
    with pytest.raises(EngineUnreachable):
        await drain(deltas)
    await stream.aclose()


async def test_closing_an_engine_while_it_loads_says_so(own_llamacpp):
    engine = own_llamacpp()
    starting = asyncio.create_task(engine.start())
    for _ in range(200):
        await asyncio.sleep(0.01)
        if engine._process._child:
            break
    await engine.aclose()
    with pytest.raises(EngineUnreachable, match="closed while it was loading"):
        await starting


async def test_a_model_that_llamacpp_cannot_load_gives_its_reason(own_llamacpp, base_model, tmp_path):
    damaged = tmp_path / "damaged.gguf"
    content = base_model.path.read_bytes()
    damaged.write_bytes(content.replace(b"blk.7.attn_q.weight", b"blk.7.attn_x.weight"))
    engine = own_llamacpp(model=str(damaged))
    with pytest.raises(ModelError, match=r"blk\.7\.attn_q\.weight"):
        await drawn(engine)


async def test_knobs_that_cannot_work_are_refused_before_anything_starts(base_model):
    from poise.engines.llamacpp import LlamaCpp

    for knobs, field in (
        ({"context": base_model.card.context + 1}, "context"),
        ({"slots": 1_000_000}, "slots x context"),
        ({"slots": -1}, "slots"),
    ):
        with pytest.raises(ConfigError) as refusal:
            LlamaCpp(**knobs)
        assert refusal.value.field == field


SCRIPT = """
import asyncio, signal, sys
from poise.core import Message, Role, Sampling
from poise.engines.llamacpp import LlamaCpp

signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where a shell runs all this in the background

async def main():
    engine = LlamaCpp("smollm2-135m-instruct", slots=2, context=256)
    async for _ in engine.stream((Message(Role.USER, "Tell a story."),), Sampling(max_tokens=200)):
        print(engine._process._child.pid, flush=True)
        if sys.argv[1] == "return":
            return

asyncio.run(main())
"""


@pytest.mark.parametrize("how", ["return", "interrupt", "kill"])
async def test_however_we_end_no_server_stays(how):
    started = await asyncio.to_thread(
        subprocess.Popen, [sys.executable, "-c", SCRIPT, how], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    server = psutil.Process(int(await asyncio.to_thread(started.stdout.readline)))
    if how == "interrupt":
        started.send_signal(signal.SIGINT)
    elif how == "kill":
        started.kill()
    _, said = await asyncio.to_thread(started.communicate, timeout=20)
    assert started.returncode == {"return": 0, "interrupt": -signal.SIGINT, "kill": -signal.SIGKILL}[how]
    assert ("KeyboardInterrupt" in said) == (how == "interrupt")
    gone, _ = await asyncio.to_thread(psutil.wait_procs, [server], timeout=10)
    assert gone == [server]
