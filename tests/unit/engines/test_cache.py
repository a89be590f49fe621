import asyncio
import json
import logging

import pytest
from fakes import WHOLE, Planned
from loopback import drawn, failed

from poise.core import Delta, Finish, Message, Role, Sampling
from poise.costs import Overrun
from poise.engines.cache import VERSION, cached
from poise.errors import EngineError

ASKED = (Message(Role.USER, "?"),)
SEEDED = Sampling(seed=1)
RICH = (
    Delta("é\ud83d", 2, 0, None, (-0.1, -1e-9), ((-0.1, -3.0), (-1e-9, -20.7)), (5, 6), 11, 3),
    Delta("", 1, 0, Finish.DELIMITER, thought_tokens=4),
)


async def deltas(engine, sampling=SEEDED, prompt=ASKED, n=1):
    return (await drawn(engine.stream(prompt, sampling, n)))[0]


@pytest.mark.parametrize("plan", [WHOLE, RICH])
async def test_a_draw_is_replayed_as_it_was(tmp_path, plan):
    engine = Planned(plan)
    assert await deltas(cached(engine, tmp_path)) == list(plan)
    assert await deltas(cached(engine, tmp_path)) == list(plan)
    assert (engine.calls, engine.closed) == (1, 1)


@pytest.mark.parametrize(
    ("sampling", "kept"),
    [(Sampling(), False), (Sampling(temperature=0.0), True), (Sampling(seed=0), True)],
)
async def test_only_draws_that_repeat_are_kept(tmp_path, sampling, kept):
    engine = Planned(WHOLE)
    for _ in range(2):
        assert await deltas(cached(engine, tmp_path), sampling) == list(WHOLE)
    assert engine.calls == (1 if kept else 2)
    assert bool(list(tmp_path.rglob("*.json"))) == kept


async def test_everything_that_was_asked_is_in_the_key(tmp_path):
    engine = Planned(WHOLE)
    others = [
        {"sampling": Sampling(seed=2)},
        {"sampling": Sampling(seed=1, max_tokens=9)},
        {"sampling": Sampling(seed=1, stop=("x",))},
        {"prompt": (Message(Role.SYSTEM, "?"),)},
        {"prompt": (*ASKED, *ASKED)},
    ]
    await deltas(cached(engine, tmp_path))
    for other in others:
        await deltas(cached(engine, tmp_path), **other)
    other_model = Planned(WHOLE)
    other_model.card = type(engine.card)("other")
    await deltas(cached(other_model, tmp_path))
    assert (engine.calls, other_model.calls) == (6, 1)
    assert len(list(tmp_path.rglob("*.json"))) == 7


async def test_only_whole_draws_are_kept(tmp_path):
    engine = Planned((WHOLE[0], EngineError("x")), (WHOLE[0],), WHOLE)
    wrapped = cached(engine, tmp_path)
    await failed(wrapped.stream(ASKED, SEEDED), EngineError)
    assert await deltas(wrapped) == [WHOLE[0]]
    stream = wrapped.stream(ASKED, SEEDED)
    await anext(aiter(stream))
    await stream.aclose()
    assert list(tmp_path.rglob("*.json")) == []
    await deltas(wrapped)
    await deltas(wrapped)
    assert engine.calls == 4


async def test_a_draw_read_to_its_finish_and_no_further_is_kept(tmp_path):
    wrapped = cached(engine := Planned(WHOLE), tmp_path)
    stream = wrapped.stream(ASKED, SEEDED)
    async for delta in stream:
        if delta.finish:
            break
    await stream.aclose()
    await deltas(wrapped)
    assert engine.calls == 1


async def test_the_bill_is_passed_on_once(tmp_path):
    wrapped = cached(Planned(WHOLE, overrun=Overrun(3, exact=False)), tmp_path)
    assert (await drawn(wrapped.stream(ASKED, SEEDED)))[1] == Overrun(3, exact=False)
    assert (await drawn(wrapped.stream(ASKED, SEEDED)))[1] == Overrun()


@pytest.mark.parametrize(
    "broken",
    [
        b"",
        b"{",
        b"[]",
        b'{"deltas": 3}',
        b'{"deltas": [{"finish": "never"}]}',
        b'{"deltas": [{"txt": 1}]}',
        b'{"deltas": []}',
    ],
)
async def test_a_corrupt_entry_is_replaced(tmp_path, broken, caplog):
    engine = Planned(WHOLE)
    wrapped = cached(engine, tmp_path)
    await deltas(wrapped)
    (entry,) = tmp_path.rglob("*.json")
    sound = entry.read_bytes()
    entry.write_bytes(broken)
    with caplog.at_level(logging.WARNING):
        assert await deltas(wrapped) == list(WHOLE)
    assert (engine.calls, entry.read_bytes()) == (2, sound)
    assert json.loads(sound)["version"] == VERSION


async def test_a_disk_that_fails_costs_a_warning(tmp_path, caplog):
    (tmp_path / "file").write_text("not a folder")
    with caplog.at_level(logging.WARNING):
        assert await deltas(cached(Planned(WHOLE), tmp_path / "file")) == list(WHOLE)
    assert "could not be kept" in caplog.text


async def test_no_parts_are_left(tmp_path):
    await deltas(cached(Planned(WHOLE), tmp_path))
    assert [path.suffix for path in tmp_path.rglob("*") if path.is_file()] == [".json"]


async def test_what_is_asked_for_while_it_is_drawn_is_drawn_once(tmp_path):
    wrapped = cached(engine := Planned(WHOLE), tmp_path)
    assert await asyncio.gather(*(deltas(wrapped) for _ in range(5))) == [list(WHOLE)] * 5
    assert engine.calls == 1


async def test_who_waits_draws_when_the_first_gives_up(tmp_path):
    wrapped = cached(engine := Planned(WHOLE), tmp_path)
    stream = wrapped.stream(ASKED, SEEDED)
    await anext(aiter(stream))
    waiting = asyncio.create_task(deltas(wrapped))
    await asyncio.sleep(0)
    assert engine.calls == 1
    await stream.aclose()
    assert await waiting == list(WHOLE)
    assert (engine.calls, engine.closed) == (2, 2)
