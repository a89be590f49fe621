"""The law, the upstream's counters, and the table's statistics: pytest bench/peers."""

# ruff: noqa: D103

import asyncio
import collections

import law
import pytest
import table
from aiohttp.test_utils import TestClient, TestServer
from arms import ARMS, PAIRS, Pair
from upstream import app


def test_draws_depend_on_the_question_and_the_place_alone():
    assert law.draw(7, 3) == law.draw(7, 3)
    assert len({law.draw(7, i).tokens for i in range(20)}) == 20
    assert not set(law.numbers(0, 300)) & set(law.numbers(1, 300))


def test_the_mix_is_as_it_says():
    drawn = [(number, law.draw(number, i)) for number in law.numbers(9, 2000) for i in range(4)]
    right = [each.answer == law.truth(number) for number, each in drawn]
    wanted = sum(share * p for share, p, *_ in law.MIX)
    assert sum(right) / len(right) == pytest.approx(wanted, abs=0.025)
    gap = collections.defaultdict(list)
    for (_, each), good in zip(drawn, right, strict=True):
        gap[good].append(each.quality)
    assert sum(gap[True]) / len(gap[True]) - sum(gap[False]) / len(gap[False]) == pytest.approx(1.0, abs=0.1)


async def upstream(monkeypatch, **environment):
    for name, value in environment.items():
        monkeypatch.setenv(name, str(value))
    client = TestClient(TestServer(app(), handler_cancellation=True))
    await client.start_server()
    return client


def body(number, **more):
    return {"model": "m", "messages": [{"role": "user", "content": law.question(number)}], **more}


async def texts(client, number, **more):
    async with client.post("/v1/chat/completions", json=body(number, **more)) as reply:
        told = await reply.json()
    return [choice["message"]["content"] for choice in told["choices"]], told["usage"]["completion_tokens"]


async def test_n_samples_and_single_calls_get_the_same_draws_and_all_tokens_count(monkeypatch):
    client = await upstream(monkeypatch, TTFT=0, RATE=100000)
    together, told = await texts(client, 5, n=3)
    await client.post("/reset")
    alone = [await texts(client, 5) for _ in range(3)]
    assert together == [text for (text,), _ in alone] == ["".join(law.draw(5, i).tokens) for i in range(3)]
    counters = await (await client.get("/stats")).json()
    assert counters["tokens"] == told == sum(len(law.draw(5, i).tokens) for i in range(3))
    assert (counters["calls"], counters["draws"], counters["in_flight"]) == (3, 3, 0)
    await client.close()


async def test_judges_are_answered_in_their_own_form(monkeypatch):
    client = await upstream(monkeypatch, TTFT=0, RATE=100000)
    draft = "".join(law.draw(5, 2).tokens)
    for ask, form in (("Rate it: ", "{}"), ("Give JSON: ", '{{"reasoning": "checked", "score": {}}}')):
        asked = {"model": "m", "messages": [{"role": "user", "content": ask + law.question(5) + draft}]}
        told = await (await client.post("/v1/chat/completions", json=asked)).json()
        assert told["choices"][0]["message"]["content"] == form.format(law.rating(5, 2))
    await client.close()


@pytest.mark.parametrize("stream", [False, True])
async def test_a_client_that_goes_away_stops_its_tokens_and_frees_its_slot(monkeypatch, stream):
    client = await upstream(monkeypatch, TTFT=0.05, RATE=50, SLOTS=1)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2), client.post("/v1/chat/completions", json=body(5, stream=stream)) as reply:
            await reply.read()
    await asyncio.sleep(0.1)
    counters = await (await client.get("/stats")).json()
    assert counters["in_flight"] == 0
    assert counters["broken_off"] == 1
    assert 0 < counters["tokens"] < 12
    async with asyncio.timeout(2):
        assert (await texts(client, 6))[0] == ["".join(law.draw(6, 0).tokens)]
    await client.close()


async def test_slots_make_calls_wait(monkeypatch):
    client = await upstream(monkeypatch, TTFT=0.1, RATE=100000, SLOTS=2)
    clock = asyncio.get_running_loop().time
    before = clock()
    await asyncio.gather(*(texts(client, number) for number in range(6)))
    assert 0.29 < clock() - before < 1.0
    await client.close()


async def test_streams_say_what_they_used(monkeypatch):
    client = await upstream(monkeypatch, TTFT=0, RATE=100000)
    asked = body(5, stream=True, stream_options={"include_usage": True}, logprobs=True)
    said = await (await client.post("/v1/chat/completions", json=asked)).text()
    assert said.count('"content": "') == len(law.draw(5, 0).tokens)
    assert f'"completion_tokens": {len(law.draw(5, 0).tokens)}' in said
    assert said.endswith("data: [DONE]\n\n")
    await client.close()


def measured(seed, wall, tokens, right):
    counters = {"tokens": tokens, "calls": 8, "connections": 2, "most_in_flight": 2}
    ids = [str(number) for number in range(len(right))]
    each = {"right": dict(zip(ids, right, strict=True)), "clusters": {id: id for id in ids}, "errors": []}
    return {**each, "seed": seed, "wall": wall, "counters": counters, "reported": tokens // 2, "seconds": {"0": 1.0}}


def test_rows_and_pairs_are_what_was_measured():
    ours = [measured(seed, 2.0 + seed, 50, [True, True, True, False]) for seed in range(3)]
    theirs = [measured(seed, 6.0 + seed, 100, [True, False, True, True]) for seed in range(3)]
    row = table.row("ours", ours)
    assert row["wall"] == {"median": 3.0, "low": 2.0, "high": 4.0}
    assert row["reported"]["median"] == 0.5
    assert (row["accuracy"]["mean"], row["n"]) == (0.75, 12)
    pair = Pair("a", "b", faster=3.0, tokens=0.55, noninferior=True)
    found = table.compared(pair, "idle", ours, theirs)
    assert (found["only_ours"], found["only_theirs"], found["n"], found["mcnemar"]) == (3, 3, 12, 1.0)
    assert found["faster"]["median"] == pytest.approx(7 / 3)
    assert [met for _, met in found["targets"]] == [False, True, False]


def test_pairs_name_arms_that_exist():
    names = {arm.name for arm in ARMS}
    assert all({pair.ours, pair.theirs} <= names for pair in PAIRS)
