"""Replayed draws: the recorded ones, in the recorded order, for every arm alike; what was not recorded is refused."""

import asyncio
import io
import json
from dataclasses import replace

import pytest
from rich.console import Console

from poise.config import EngineSpec, arm, arms_of, engine_of
from poise.connect import connect
from poise.core import Ability, Draft, Finish, Message, Request, Role, Rule, Sampling, Value
from poise.costs import Card
from poise.draws import Collected, derived_seed
from poise.engines.replay import Replay
from poise.engines.scripted import Script, Scripted
from poise.errors import ConfigError, DataError, EngineError, EngineRefused
from poise.evals.bench import bench
from poise.evals.bench_settings import BenchSettings
from poise.evals.outcome import rows_of
from poise.lab.pool import read_pool
from poise.lab.rollouts import record
from poise.records import trace_from_json
from poise.report.read import read
from poise.report.table import show
from poise.scorers import Scorers
from poise.store.pool_dir import PoolDir, PooledDraw, PoolSettings, prompt_hash
from poise.store.run_dir import CONFIG, TRACES, RunDir
from poise.testing import check_engine, virtual

N, DRAWS, SEED = 20, 12, 5
SAMPLING = Sampling(max_tokens=64, top_logprobs=3)
PROMPT = Request.ask("What is 3 + 4?").messages
CARD = Card("tiny", 1_000, 1_000, 4, 8, 8, 100, 512, new_price=2.0)


def script(question):
    truth = question.split()[1]
    return Script(((truth, 0.45), ("-1", 0.35), ("-2", 0.2)), (5, 40))


def draft(tokens, value="7", finish=Finish.EOS):
    text = f"{'so ' * (tokens - 2)}The answer is {value}."
    numbers = tuple(-0.1 * place for place in range(tokens))
    return Draft(text, finish, tokens, numbers, tuple((lp, lp - 1, lp - 2) for lp in numbers), tuple(range(tokens)))


def write_pool(folder, drafts, sampling=SAMPLING, item="sums/1", prompt=PROMPT):
    """A pool of one question; draw k has seed 5 + k."""
    pool = PoolDir(folder)
    settings = PoolSettings(("sums",), 1, SEED, max(len(drafts), 1), "bare", sampling)
    with pool.claimed(settings.to_json(CARD, "0123"), {}):
        for index, each in enumerate(drafts):
            value = Value("7", Rule.ANSWER_IS)
            cached = 0 if index == 0 else 9
            pool.add(
                PooledDraw(item, "sums", item, index, 5 + index, prompt_hash(prompt), each, value, True, 9, cached)
            )
    return Replay(folder)


async def told(engine, sampling, n=1, prompt=PROMPT):
    """What a call returns: a draft per sample, and its first delta."""
    got, first = [Collected(0.0) for _ in range(n)], None
    async for delta in engine.stream(prompt, sampling, n):
        first = first or delta
        got[delta.index].add(delta, lambda: 0.0)
    return [one.draft() for one in got], first


def asking(seed, **knobs):
    return Sampling(**{"max_tokens": 64, "seed": seed, "top_logprobs": 3, **knobs})


async def test_a_replay_keeps_the_laws(tmp_path):
    engine = write_pool(tmp_path, [draft(20), draft(12), draft(30)])
    assert engine.can == {Ability.SEEDS, Ability.N_SAMPLES, Ability.LOGPROBS}
    await check_engine(engine)


async def test_a_draw_comes_back_whole(tmp_path):
    drafts = [draft(20), draft(1, finish=Finish.LENGTH), draft(7)]
    engine = write_pool(tmp_path, drafts)
    for index, recorded in enumerate(PoolDir(tmp_path).draws()):
        (only,), first = await told(engine, asking(5 + index))
        assert only == recorded.draft
        assert (only.text, only.tokens, only.finish) == (drafts[index].text, drafts[index].tokens, drafts[index].finish)
        assert (first.prompt_tokens, first.cached_tokens) == (9, 9 if index else 0)
    assert (engine.card.parameters, engine.card.new_price) == (1_000, 2.0)
    assert engine.card.name == "tiny, replayed"


async def test_many_samples_are_the_draws_from_the_seed_on(tmp_path):
    drafts = [draft(20), draft(12), draft(30), draft(4)]
    engine = write_pool(tmp_path, drafts)
    got, first = await told(engine, asking(6), 3)
    assert [one.text for one in got] == [one.text for one in drafts[1:]]
    assert (first.prompt_tokens, first.cached_tokens) == (9, 9)
    came = []

    async def too_many():
        async for delta in engine.stream(PROMPT, asking(7), 3):
            came.extend([delta.index] if delta.finish else [])

    with pytest.raises(EngineRefused, match="draws 2 to 4 of sums/1 are asked for, and 4 are recorded"):
        await too_many()
    assert came == [1, 0]  # those that there are come all the same


async def test_logprobs_are_those_asked_for(tmp_path):
    engine = write_pool(tmp_path, [draft(3)])
    (plain,), _ = await told(engine, asking(5, top_logprobs=None))
    (chosen,), _ = await told(engine, asking(5, top_logprobs=0))
    (two,), _ = await told(engine, asking(5, top_logprobs=2))
    assert (plain.logprobs, plain.alternatives) == ((), ())
    assert (chosen.logprobs, chosen.alternatives) == ((0.0, -0.1, -0.2), ())
    assert two.alternatives == ((0.0, -1.0), (-0.1, -1.1), (-0.2, -1.2))


async def test_a_draw_is_cut_where_its_tokens_end(tmp_path):
    engine = write_pool(tmp_path, [draft(20), draft(5)])
    (long, short), _ = await told(engine, asking(5, max_tokens=8), 2)
    assert (long.tokens, long.finish, len(long.logprobs)) == (8, Finish.LENGTH, 8)
    assert draft(20).text.startswith(long.text)
    assert len(long.text) == len(draft(20).text) * 8 // 20
    assert (short.text, short.finish) == (draft(5).text, Finish.EOS)


async def test_an_empty_draft_ends_too(tmp_path):
    engine = write_pool(tmp_path, [Draft("", Finish.EOS, 0)])
    (only,), _ = await told(engine, asking(5))
    assert only == Draft("", Finish.EOS, 0)


@pytest.mark.parametrize(
    ("knobs", "message"),
    [
        ({"temperature": 0.9}, r"drawn with temperature 0\.7, not 0\.9"),
        ({"top_p": 0.9}, "drawn with top_p"),
        ({"stop": ("\n",)}, "drawn with stop"),
        ({"max_tokens": 65}, "drawn with max_tokens 64, not 65"),
        ({"top_logprobs": 4}, "drawn with top_logprobs 3, not 4"),
        ({"seed": 99}, "no such draw of this question: 1 are recorded, for seed 5"),
        ({"seed": None}, "no such draw"),
    ],
)
async def test_what_was_not_recorded_is_refused(tmp_path, knobs, message):
    engine = write_pool(tmp_path, [draft(20)])
    with pytest.raises(EngineRefused, match=message):
        await told(engine, asking(**{"seed": 5, **knobs}))


async def test_another_prompt_is_refused(tmp_path):
    engine = write_pool(tmp_path, [draft(20)])
    for prompt in (Request.ask("Another?").messages, (*PROMPT, Message(Role.ASSISTANT, "First,"))):
        with pytest.raises(EngineRefused, match="not in the pool, which holds whole drafts of prompt 'bare'"):
            await told(engine, asking(5), 1, prompt)


async def test_a_pool_without_logprobs_has_none(tmp_path):
    engine = write_pool(tmp_path, [draft(20)], replace(SAMPLING, top_logprobs=None))
    assert Ability.LOGPROBS not in engine.can
    with pytest.raises(EngineRefused, match="top_logprobs None, not 0"):
        await told(engine, asking(5, top_logprobs=0))


async def test_draws_side_by_side_end_in_order_of_length(tmp_path):
    engine, ended = write_pool(tmp_path, [draft(20), draft(4), draft(11)]), []

    async def one(index):
        (only,), _ = await told(engine, asking(5 + index))
        ended.append(only.tokens)

    await asyncio.gather(*(one(index) for index in range(3)))
    assert ended == [4, 11, 20]


def test_engines_of_pools(tmp_path):
    write_pool(tmp_path / "pool", [draft(3)])
    spec = engine_of(str(tmp_path / "pool"))
    assert spec == EngineSpec("replay", str(tmp_path / "pool"))
    engine = connect(spec, "old")
    assert (engine.name, engine.card.name) == ("old", "tiny, replayed")
    with pytest.raises(DataError, match=r"no pool\.json"):
        connect(EngineSpec("replay", str(tmp_path)))
    with pytest.raises(DataError, match="no draws"):
        write_pool(tmp_path / "empty", [])


@pytest.fixture(scope="module")
def task(tmp_path_factory):
    path = tmp_path_factory.mktemp("task") / "echo.jsonl"
    lines = [json.dumps({"question": f"Say {i} now", "answer": str(i), "id": i}) for i in range(N - 1)]
    lines.append(json.dumps({"question": "Say 3 now", "answer": "3", "id": "again"}))  # the same prompt, other draws
    path.write_text("\n".join(lines))
    return str(path)


@pytest.fixture(scope="module")
def pool(task, tmp_path_factory):
    folder = tmp_path_factory.mktemp("pool")
    settings = PoolSettings((task,), N, SEED, DRAWS, "bare", replace(SAMPLING, top_logprobs=0))
    virtual(record(settings, Scripted(script, per_delta=4, slots=8), PoolDir(folder)))
    return folder


def run(pool, folder, task, *arms, seed=SEED, engine=None, parallel=None, limit=N):
    """A bench over a pool; its run directory."""
    settings = BenchSettings((task,), arms_of(arms), limit, seed, parallel)
    settings = replace(settings, arms=tuple(replace(each, sampling=Sampling(max_tokens=64)) for each in settings.arms))
    store = RunDir(folder)
    summary = asyncio.run(bench(settings, {"main": engine or Replay(pool)}, Scorers(), store))
    return store, summary


def outcomes(store):
    """Rows by item and arm, without times."""
    return {
        (row.item, row.arm): replace(
            row, usage=replace(row.usage, seconds=0, busy_seconds=0), wall=0.0, first_token_seconds=None
        )
        for row in rows_of(store)
    }


VOTE = "vote=self_consistency:n=8,prompt=bare"


def test_the_same_bench_twice_gives_the_same_rows(pool, task, tmp_path):
    arms = (VOTE, "adaptive=adaptive_consistency:n=10,prompt=bare", "first=first_finish:k=6,m=2,prompt=bare")
    first, _ = run(pool, tmp_path / "one", task, *arms)
    second, _ = run(pool, tmp_path / "two", task, *reversed(arms), parallel=1)
    assert outcomes(first) == outcomes(second)
    assert len(outcomes(first)) == 3 * N
    assert {row.error for row in rows_of(first)} == {None}


def test_votes_of_a_bench_are_those_of_the_pool(pool, task, tmp_path):
    store, summary = run(
        pool, tmp_path / "run", task, VOTE, "one=direct:prompt=bare", "all=self_consistency:n=12,prompt=bare"
    )
    right = {(row.item, row.arm): row.correct for row in rows_of(store)}
    items = read_pool(pool).items
    assert {one.item.id: one.majority(8) for one in items} == {one.item.id: right[one.item.id, "vote"] for one in items}
    assert {one.item.id: one.majority() for one in items} == {one.item.id: right[one.item.id, "all"] for one in items}
    assert {one.item.id: one.grades[0] for one in items} == {one.item.id: right[one.item.id, "one"] for one in items}
    accuracy = {arm.arm: arm.accuracy.mean for arm in summary.arms}
    assert accuracy["vote"] == sum(one.majority(8) for one in items) / N
    tokens = {arm.arm: arm.new_tokens.mean for arm in summary.arms}
    assert tokens["vote"] == pytest.approx(sum(draft.tokens for one in items for draft in one.drafts[:8]) / N)


def test_a_replayed_bench_is_the_live_one(pool, task, tmp_path):
    """On an engine with seeds, draw by draw: in arms that share calls and in arms that do not."""
    single = tmp_path / "single"
    settings = PoolSettings((task,), N, SEED, DRAWS, "bare", replace(SAMPLING, top_logprobs=0))
    asyncio.run(record(settings, Scripted(script), PoolDir(single)))
    arms = (VOTE, "best=best_of_n:n=8,prompt=bare", "adaptive=adaptive_consistency:n=10,prompt=bare")
    live, _ = run(None, tmp_path / "live", task, *arms, engine=Scripted(script, name="main"))
    again, _ = run(single, tmp_path / "again", task, *arms)
    for key, row in outcomes(live).items():
        other = outcomes(again)[key]
        assert (row.value, row.correct, row.votes) == (other.value, other.correct, other.votes)
        assert row.usage.new_tokens == other.usage.new_tokens


def test_draws_of_an_arm_are_the_first_of_the_question(pool, task, tmp_path):
    store, _ = run(pool, tmp_path / "run", task, "three=self_consistency:n=3,prompt=bare")
    assert {len(texts) for _, texts in draws_of(store, pool)} == {3}


def draws_of(store, pool):
    """The texts of every trace by item, which must be the first of that item in the pool, in order."""
    by_item, found = {one.item.id: one for one in read_pool(pool).items}, []
    for line in store.lines(TRACES):
        steps = trace_from_json(line["trace"]).steps
        texts = [steps[id].draft.text for id in sorted(steps)]
        assert texts == [draft.text for draft in by_item[line["item"]].drafts[: len(texts)]]
        found.append((line["item"], texts))
    return found


def test_a_cascade_goes_on_where_its_first_arm_ended(pool, task, tmp_path):
    nested = [{"strategy": "self_consistency", "n": n, "prompt": "bare"} for n in (2, 3)]
    cascade = arm("cascade", {"strategy": "cascade", "accept": 1.0, "arms": nested, "max_tokens": 64})
    store = RunDir(tmp_path / "run")
    asyncio.run(bench(BenchSettings((task,), (cascade,), N, SEED), {"main": Replay(pool)}, {}, store))
    assert {len(texts) for _, texts in draws_of(store, pool)} == {2, 5}


def test_more_draws_than_were_recorded_are_failures_that_say_how_many_there_are(pool, task, tmp_path):
    store, _ = run(pool, tmp_path / "run", task, "many=adaptive_consistency:n=40,k=30,prompt=bare")
    events = [event for line in store.lines(TRACES) for event in line["trace"]["events"]]
    failed = [event for event in events if event["event"] == "failed"]
    assert failed
    assert all("12 are recorded" in event["message"] for event in failed)


def test_a_vote_goes_on_without_the_draws_that_a_pool_lacks(task, tmp_path):
    settings = PoolSettings((task,), 2, SEED, 4, "bare", replace(SAMPLING, top_logprobs=0))
    virtual(record(settings, Scripted(script, slots=4), PoolDir(tmp_path / "pool")))
    shard = tmp_path / "pool" / "draws-00000.jsonl"
    kept = [line for line in shard.read_text().splitlines(keepends=True) if json.loads(line)["index"] != 2]
    shard.write_text("".join(kept))
    store, _ = run(tmp_path / "pool", tmp_path / "run", task, "vote=self_consistency:n=4,prompt=bare", limit=2)
    assert [row.votes for row in rows_of(store)] == [3, 3]
    assert {row.item: row.correct for row in rows_of(store)} == {
        one.item.id: one.majority() for one in read_pool(tmp_path / "pool").items
    }


def test_another_seed_is_refused(pool, task, tmp_path):
    with pytest.raises(EngineError, match=r"questions in a row failed.*12 are recorded, for seed 5"):
        run(pool, tmp_path / "run", task, VOTE, seed=SEED + 1)


def test_first_finish_waits_for_the_shortest_and_bills_the_others_so_far(pool, task, tmp_path):
    store, _ = run(pool, tmp_path / "run", task, "first=first_finish:k=6,m=1,prompt=bare")
    by_item = {one.item.id: one for one in read_pool(pool).items}
    for row in rows_of(store):
        lengths = [draft.tokens for draft in by_item[row.item].drafts[:6]]
        assert 6 * min(lengths) - 6 <= row.usage.new_tokens + row.usage.overrun_tokens <= 6 * min(lengths) + 6


def test_a_replayed_bench_says_that_its_seconds_are_not_measured(pool, task, tmp_path):
    store, summary = run(pool, tmp_path / "run", task, VOTE)
    assert store.read(CONFIG)["models"] == {"main": "scripted, replayed"}
    assert summary.replayed
    console = Console(file=io.StringIO(), width=160, color_system=None)
    show(summary, console)
    assert "Draws are replayed: no seconds." in " ".join(console.file.getvalue().split())
    assert " ms" not in console.file.getvalue()
    assert any("not measured" in note for note in read(store.path).notes)
    _, live = run(None, tmp_path / "live", task, VOTE, engine=Scripted(script, name="main"))
    assert not live.replayed
    with pytest.raises(ConfigError, match=r"models\.main"):
        run(pool, tmp_path / "live", task, VOTE)


def test_seeds_are_those_of_a_bench(pool):
    for one in read_pool(pool).items:
        root = derived_seed(SEED, one.item.id)
        assert [draw.seed for draw in one.draws] == [derived_seed(root, index) for index in range(DRAWS)]
