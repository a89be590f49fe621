"""Recording a pool on the scripted engine: what is drawn, kept and gone on with, and that no slot waits."""

import asyncio
from collections import Counter
from dataclasses import replace

import pytest
from lab_pools import DRAWS, SAMPLING, N, recorded, script, settings_of, write_task

from poise.core import Ability, Delta, Finish, Message, Role
from poise.costs import Card, Load
from poise.draws import derived_seed
from poise.engines.limit import limited
from poise.engines.scripted import Scripted
from poise.engines.wrapper import Bill, Wrapper
from poise.errors import (
    AbilityMissing,
    ConfigError,
    EngineError,
    EngineRefused,
    EngineUnreachable,
    StoreError,
    UnknownName,
)
from poise.lab.pool import read_pool
from poise.lab.rollouts import record
from poise.seams import Stream
from poise.store.pool_dir import FAILURES, PoolDir, prompt_hash
from poise.testing import virtual


class Failing(Wrapper):
    """Fails the calls that `fails` picks by their number, before a delta or after the first."""

    def __init__(self, engine, fails, begun=False, error=None):
        super().__init__(engine)
        self.calls, self.sizes, self.fails, self.begun = 0, [], fails, begun
        self.error = error or EngineUnreachable("gone")

    def stream(self, prompt, sampling, n=1):
        self.calls += 1
        self.sizes.append(n)
        bill = Bill()
        return Stream(self._deltas(prompt, sampling, n, bill, self.fails(self.calls)), bill.settle)

    async def _deltas(self, prompt, sampling, n, bill, fails):
        if fails and not self.begun:
            raise self.error
        stream = self._engine.stream(prompt, sampling, n)
        try:
            async for delta in stream:
                yield delta
                if fails and delta.finish:
                    raise self.error
        finally:
            await bill.close(stream)


@pytest.fixture
def task(tmp_path):
    return write_task(tmp_path)


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "pool"


def places(pool):
    return Counter((draw.item, draw.index) for draw in pool.draws())


def whole(pool):
    """Every draw there, once."""
    counts = places(pool)
    return len(counts) == N * DRAWS and set(counts.values()) == {1}


def test_every_draw_is_there_once_graded_and_seeded(task, folder):
    seen = []
    pool = PoolDir(folder)
    virtual(record(settings_of(task), Scripted(script, per_delta=4, slots=8), pool, seen.append))
    assert whole(pool)
    for item in read_pool(folder).items:
        for draw in item.draws:
            assert draw.seed == derived_seed(derived_seed(3, item.item.id), draw.index)
            assert draw.correct == (draw.value is not None and draw.value.text == item.item.truth)
            assert len(draw.draft.logprobs) == draw.draft.tokens
            assert draw.draft.finish is Finish.EOS
    assert 0.3 < sum(draw.correct for draw in pool.draws()) / (N * DRAWS) < 0.7
    assert [progress.done for progress in seen] == list(range(1, N * DRAWS + 1))
    last = seen[-1]
    assert (last.total, last.before, [arm.arm for arm in last.arms]) == (N * DRAWS, 0, ["echo"])
    assert last.new_tokens == sum(draw.draft.tokens for draw in pool.draws())
    assert last.tokens_per_second > 0


def test_draws_of_a_question_share_calls_where_the_engine_can(task, folder, tmp_path):
    engine = Failing(Scripted(script, slots=8), lambda call: False)
    virtual(recorded(folder, task, engine))
    assert engine.sizes == [8, 8] * N
    single = Failing(Scripted(script), lambda call: False)
    virtual(recorded(tmp_path / "single", task, single))
    assert single.sizes == [1] * (N * DRAWS)


def test_the_prompt_is_read_once_a_call(task, folder):
    pool = virtual(recorded(folder, task))
    for draw in pool.draws():
        assert draw.prompt_tokens
        assert draw.cached_tokens == (draw.prompt_tokens if draw.index % 8 else 0)


def test_an_engine_that_tells_the_prompt_last_is_heard(task, folder):
    class Late(Wrapper):
        def stream(self, prompt, sampling, n=1):
            async def deltas():
                for index in range(n):
                    yield Delta(f"The answer is {index}.", 3, index, Finish.EOS)
                    await asyncio.sleep(0.1)
                yield Delta(prompt_tokens=11)

            return Stream(deltas())

    pool = virtual(recorded(folder, task, Late(Scripted(slots=8))))
    assert {draw.prompt_tokens for draw in pool.draws()} == {11}
    assert [draw.draft.tokens for draw in pool.draws()] == [3] * (N * DRAWS)


def test_draws_without_the_length_of_the_prompt_are_kept_too(task, folder):
    class Mute(Wrapper):
        def stream(self, prompt, sampling, n=1):
            async def deltas():
                for index in range(n):
                    yield Delta("The answer is 1.", 3, index, Finish.EOS)

            return Stream(deltas())

    pool = virtual(recorded(folder, task, Mute(Scripted(slots=8))))
    assert whole(pool)
    assert {(draw.prompt_tokens, draw.cached_tokens) for draw in pool.draws()} == {(None, None)}


def test_seconds_are_those_of_the_text(task, folder):
    pool = virtual(recorded(folder, task, Scripted(script, per_delta=1)))
    for draw in pool.draws():
        assert draw.seconds == pytest.approx(0.01 * (draw.draft.tokens - 1), abs=1e-5)


async def stopped_after(draws, task, folder):
    """Record until so many draws are there, and cancel."""
    enough = asyncio.Event()

    def watch(progress):
        if progress.done >= draws:
            enough.set()

    pool = PoolDir(folder)
    running = asyncio.create_task(record(settings_of(task), Scripted(script, per_delta=1, slots=8), pool, watch))
    await enough.wait()
    running.cancel()
    await asyncio.wait([running])
    return pool


def test_an_interrupted_pool_goes_on_and_nothing_is_drawn_twice(task, folder):
    pool = virtual(stopped_after(37, task, folder))
    before = places(pool)
    assert 37 <= sum(before.values()) < N * DRAWS
    seen = []
    engine = Failing(Scripted(script, slots=8), lambda call: False)
    virtual(record(settings_of(task), engine, pool, seen.append))
    assert whole(pool)
    assert sum(engine.sizes) == N * DRAWS - len(before)
    assert (seen[0].before, seen[0].done) == (len(before), len(before) + 1)
    virtual(record(settings_of(task), engine, pool, seen.append))
    assert sum(engine.sizes) == N * DRAWS - len(before)


def test_with_one_draw_a_call_an_interrupted_pool_ends_as_one_left_alone(task, folder, tmp_path):
    engine = Scripted(script, per_delta=1)
    alone = virtual(recorded(tmp_path / "alone", task, engine))
    virtual(stopped_after(50, task, folder))
    pool = PoolDir(tmp_path / "single")

    async def twice():
        running = asyncio.create_task(recorded(pool.path, task, engine))
        await asyncio.sleep(2.0)
        running.cancel()
        await asyncio.wait([running])
        assert 0 < len(places(pool)) < N * DRAWS
        await recorded(pool.path, task, engine)

    virtual(twice())
    texts = [{(draw.item, draw.index): draw.draft for draw in each.draws()} for each in (alone, pool)]
    assert texts[0] == texts[1]


def test_a_call_that_fails_at_once_is_tried_again(task, folder):
    engine = Failing(Scripted(script, slots=8), lambda call: call in (1, 2, 7, 30))
    assert whole(virtual(recorded(folder, task, engine)))
    assert list(PoolDir(folder).lines(FAILURES)) == []


def test_a_call_that_breaks_keeps_what_ended_and_the_rest_is_drawn_by_the_next_sitting(task, folder):
    engine = Failing(Scripted(script, per_delta=1, slots=8), lambda call: call == 3, begun=True)
    seen = []
    pool = PoolDir(folder)
    virtual(record(settings_of(task), engine, pool, seen.append))
    lost = list(pool.lines(FAILURES))
    assert 1 <= len(lost) <= 7
    assert {line["error"] for line in lost} == {"EngineUnreachable"}
    assert len(places(pool)) == N * DRAWS - len(lost)
    assert seen[-1].arms[0].failed == len(lost)
    again = Failing(Scripted(script, slots=8), lambda call: False)
    virtual(record(settings_of(task), again, pool))
    assert whole(pool)
    assert sum(again.sizes) == len(lost)


def test_a_lost_engine_ends_the_sitting_with_what_is_there(task, folder):
    engine = Failing(Scripted(script, slots=8), lambda call: call > 5)
    with pytest.raises(EngineError, match=r"calls in a row failed.*gone; \d+ of 192 draws are there"):
        virtual(recorded(folder, task, engine))
    assert 0 < len(places(PoolDir(folder))) <= 40
    assert whole(virtual(recorded(folder, task)))


def test_a_small_pool_without_any_engine_is_an_error_too(task, folder):
    engine = Failing(Scripted(script), lambda call: True, error=EngineRefused("no"))
    with pytest.raises(EngineError, match="2 calls in a row failed"):
        virtual(recorded(folder, task, engine, limit=1, draws=2))


def test_a_stream_that_ends_before_its_drafts_is_a_failure(task, folder):
    class Short(Wrapper):
        def stream(self, prompt, sampling, n=1):
            async def deltas():
                yield Delta("The answer is 1.", 3, 0, Finish.EOS, prompt_tokens=2)

            return Stream(deltas())

    pool = virtual(recorded(folder, task, Short(Scripted(slots=8)), limit=1, draws=8))
    assert [draw.index for draw in pool.draws()] == [0]
    assert {line["index"] for line in pool.lines(FAILURES)} == set(range(1, 8))


def test_a_full_disk_ends_the_sitting(task, folder, monkeypatch):
    added = []

    def full(self, draw):
        added.append(draw)
        raise StoreError("the disk is full")

    monkeypatch.setattr(PoolDir, "add", full)
    with pytest.raises(StoreError, match="full"):
        virtual(recorded(folder, task))
    assert len(added) < DRAWS


def test_what_cannot_work_is_refused_before_anything_is_drawn(task, folder):
    engine = Scripted(script)
    engine.can -= {Ability.LOGPROBS}
    for knobs, error in (
        ({}, AbilityMissing),
        ({"prompt": "bar"}, UnknownName),
        ({"tasks": (task, task)}, ConfigError),
    ):
        with pytest.raises(error):
            virtual(recorded(folder, task, engine if not knobs else Scripted(script), **knobs))
    assert not folder.exists()
    assert engine.generated == 0
    plain = replace(SAMPLING, top_logprobs=None)
    pool = virtual(recorded(folder, task, engine, sampling=plain, limit=1))
    assert all(draw.draft.logprobs == () for draw in pool.draws())


def test_a_pool_goes_on_over_the_same_items_and_model_only(task, folder, tmp_path):
    virtual(recorded(folder, task))
    with pytest.raises(ConfigError, match=r"model\.name"):
        virtual(recorded(folder, task, Scripted(script, card=Card("other"))))
    (tmp_path / "echo.jsonl").write_text((tmp_path / "echo.jsonl").read_text().replace("now", "then"))
    with pytest.raises(ConfigError, match="its file or source changed"):
        virtual(recorded(folder, task))


def test_the_prompt_hash_tells_roles_and_texts_apart(task, folder):
    pool = virtual(recorded(folder, task))
    assert len({draw.prompt for draw in pool.draws()}) == N
    alike = [(Message(role, text),) for role in (Role.USER, Role.SYSTEM) for text in ("a", "b")]
    assert len({prompt_hash(prompt) for prompt in alike}) == 4


class Slots(Wrapper):
    """An engine of so many slots, each a token per hundredth of a second; samples that have none wait for one. Counts
    the seconds that slots worked."""

    def __init__(self, slots, many):
        super().__init__(Scripted(slots=slots))
        self.slots, self.many, self.busy_seconds = slots, many, 0.0
        self._gate = asyncio.Semaphore(slots)

    @property
    def can(self):
        return super().can - (frozenset() if self.many else {Ability.N_SAMPLES})

    def load(self):
        return Load(slots=self.slots)

    def stream(self, prompt, sampling, n=1):
        return Stream(self._deltas(sampling, n))

    async def _deltas(self, sampling, n):
        ended = asyncio.Queue()

        async def run(index):
            dice = derived_seed(sampling.seed, index) % 1000 / 1000
            tokens = int(20 + 236 * dice**4)  # a long tail
            async with self._gate:
                await asyncio.sleep(0.01 * tokens)
                self.busy_seconds += 0.01 * tokens
            ended.put_nowait(Delta("The answer is 1.", tokens, index, Finish.EOS, prompt_tokens=5))

        tasks = [asyncio.create_task(run(index)) for index in range(n)]
        for _ in tasks:
            yield await ended.get()


@pytest.mark.parametrize(("many", "gated"), [(True, False), (True, True), (False, False)])
def test_no_slot_waits(tmp_path, folder, many, gated):
    task = write_task(tmp_path, 40)

    async def share():
        slots = Slots(16, many)
        engine = limited(slots, 16) if gated else slots
        began = asyncio.get_running_loop().time()
        await record(settings_of(task, limit=40, draws=32), engine, PoolDir(folder))
        return slots.busy_seconds / 16 / (asyncio.get_running_loop().time() - began)

    assert virtual(share()) > 0.95
