"""A pool comes back from the disk as it was drawn, whatever happened to the process that wrote it."""

import dataclasses
import json

import pytest

from poise.core import Draft, Finish, Kind, Rule, Sampling, Value
from poise.costs import Card
from poise.errors import ConfigError, DataError, StoreError
from poise.evals.rows import Item
from poise.lab.pool import PooledItem, gain, items_to_json, read_pool, scores, without
from poise.store.pool_dir import ITEMS, POOL, PoolDir, PooledDraw, PoolSettings

SETTINGS = PoolSettings(("sums",), 2, 7, 3, "cot", Sampling(0.5, 0.9, 99, ("\n\n",), top_logprobs=2))
CARD = Card("tiny", 10, 8, 2, 4, 4, 100, 512, new_price=1.5)
CONFIG = SETTINGS.to_json(CARD, "0123")
ITEM = Item("sums/1", "sums", "What is 1 + 1?", "2", Kind.NUMBER, "one")


def draw(index, value="2", item="sums/1", tokens=3):
    draft = Draft(
        f"It is {value}.\u2028", Finish.EOS, tokens, (-0.12345, -1.0, 0.0), ((-0.12345, -2.5),) * 3, (5, 6, 7)
    )
    found = Value(value, Rule.ANSWER_IS) if value else None
    return PooledDraw(item, "sums", "one", index, 100 + index, "abcd", draft, found, value in ("2", "200%"), 9, 4, 0.25)


@pytest.fixture
def pool(tmp_path):
    return PoolDir(tmp_path / "pool", draws_per_shard=2)


def shards(pool):
    return {path.name: path.read_text().count("\n") for path in sorted(pool.path.glob("draws-*.jsonl"))}


def write(pool, *draws):
    with pool.claimed(CONFIG, {}):
        if pool.read(ITEMS) is None:
            pool.write(ITEMS, items_to_json([ITEM]))
        for one in draws:
            pool.add(one)


def test_draws_come_back_as_they_were(pool):
    write(pool, draw(0), draw(1, value=""))
    first, second = pool.draws()
    assert first.draft.logprobs == pytest.approx(draw(0).draft.logprobs, abs=6e-5)
    assert first.draft.alternatives == ((first.draft.logprobs[0], -2.5),) * 3
    assert without_logprobs(first) == without_logprobs(draw(0))
    assert without_logprobs(second) == without_logprobs(draw(1, value=""))
    assert (pool.settings, pool.card) == (SETTINGS, CARD)


def without_logprobs(drawn):
    fields = {name: getattr(drawn, name) for name in PooledDraw.__slots__ if name != "draft"}
    return fields, drawn.draft.text, drawn.draft.finish, drawn.draft.tokens, drawn.draft.token_ids


def test_equal_logprobs_share_their_memory(pool):
    write(pool, draw(0), draw(1))
    first, second = pool.draws()
    assert first.draft.logprobs[0] is second.draft.logprobs[0]


def test_shards_are_bounded_and_gone_on_with(pool):
    write(pool, draw(0))
    write(pool, draw(1), draw(2), draw(3), draw(4))
    write(pool)
    assert shards(pool) == {"draws-00000.jsonl": 2, "draws-00001.jsonl": 2, "draws-00002.jsonl": 1}
    assert [one.index for one in pool.draws()] == [0, 1, 2, 3, 4]


def test_a_torn_last_line_is_not_read_and_cut_off_when_the_pool_goes_on(pool):
    write(pool, draw(0), draw(1), draw(2))
    with (pool.path / "draws-00001.jsonl").open("a") as file:
        file.write('{"item": "sums/1", "ind')
    assert [one.index for one in pool.draws()] == [0, 1, 2]
    write(pool, draw(3))
    assert [one.index for one in pool.draws()] == [0, 1, 2, 3]
    assert shards(pool) == {"draws-00000.jsonl": 2, "draws-00001.jsonl": 2}


@pytest.mark.parametrize("line", ['{"item": "sums/1"}', '{"item": 3, "finish": "no"}', "not json"])
def test_a_broken_line_is_named(pool, line):
    write(pool, draw(0))
    with (pool.path / "draws-00000.jsonl").open("a") as file:
        file.write(line + "\n")
    with pytest.raises(DataError, match=r"draws-00000\.jsonl, line 2"):
        list(pool.draws())


def test_a_pool_goes_on_under_the_same_settings_model_and_prompt_only(pool):
    write(pool, draw(0))
    other = PoolSettings(("sums",), 2, 7, 4, "cot", Sampling(0.6, 0.9, 99, ("\n\n",), top_logprobs=2))
    with pytest.raises(ConfigError) as refused, pool.claimed(other.to_json(Card("big"), "4567"), {}):
        pass
    changed = set(refused.value.field.split(", "))
    assert {"draws", "sampling.temperature", "model.name", "prompt.hash"} <= changed
    assert "seed" not in changed


def test_one_writer_at_a_time(pool):
    with pool.claimed(CONFIG, {}), pytest.raises(StoreError, match="in use"), PoolDir(pool.path).claimed(CONFIG, {}):
        pass


def test_a_folder_without_a_pool_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"no pool\.json"):
        read_pool(tmp_path)


@pytest.mark.parametrize(
    ("name", "text"),
    [(POOL, '{"version": 2}'), (POOL, '{"version": 1}'), (POOL, "{"), (ITEMS, '{"items": [{"id": 1}]}')],
)
def test_a_broken_pool_is_refused_by_name(pool, name, text):
    write(pool, draw(0))
    (pool.path / name).write_text(text)
    with pytest.raises(DataError, match=name):
        read_pool(pool.path)


@pytest.mark.parametrize(
    ("knobs", "field"),
    [
        ({"tasks": ()}, "tasks"),
        ({"limit": 0}, "limit"),
        ({"draws": 0}, "draws"),
        ({"seed": -1}, "seed"),
        ({"sampling": Sampling(seed=4)}, "sampling.seed"),
    ],
)
def test_settings_that_cannot_work(knobs, field):
    with pytest.raises(ConfigError) as refused:
        PoolSettings(**{"tasks": ("sums",), **knobs})
    assert refused.value.field == field


def test_a_pool_is_read_by_question_in_order_of_index(pool):
    write(pool, draw(2, "3"), draw(0), draw(1, ""))
    (one,) = read_pool(pool.path).items
    assert one.item == ITEM
    assert [each.index for each in one.draws] == [0, 1, 2]
    assert one.grades == (True, False, False)
    assert [draft.text for draft in one.drafts] == [each.draft.text for each in one.draws]


@pytest.mark.parametrize(
    ("values", "n", "right"),
    [
        (("2", "3", "3"), None, False),
        (("2", "3", "3"), 2, True),  # the first seen wins ties
        (("", "", "2"), None, True),  # texts without a value never vote
        (("", ""), None, False),
        (("3", "200%", "2"), None, True),  # by equivalence, not by text
    ],
)
def test_the_majority(values, n, right):
    draws = tuple(draw(index, value) for index, value in enumerate(values))
    assert PooledItem(ITEM, draws).majority(n) is right


def test_scores_by_task_and_over_all(pool):
    other = Item("other/1", "other", "What is 1 + 2?", "3", Kind.NUMBER, "two")
    with pool.claimed(CONFIG, {}):
        pool.write(ITEMS, items_to_json([ITEM, other]))
        for index, value in enumerate(("2", "2", "3", "")):
            pool.add(draw(index, value))
        for index in range(2):
            pool.add(draw(index, "9", "other/1", tokens=5))
    sums, others, every = scores(read_pool(pool.path))
    assert (sums.task, sums.questions, sums.draws, sums.new_tokens) == ("sums", 1, 4, 3)
    assert (sums.single.mean, sums.majority.mean, sums.passed.mean) == (0.5, 1.0, 1.0)
    assert (others.single.mean, others.majority.mean, others.passed.mean) == (0.0, 0.0, 0.0)
    assert (every.task, every.questions, every.draws) == ("all", 2, 6)
    assert (every.single.mean, every.majority.mean, every.passed.mean) == pytest.approx((2 / 6, 0.5, 0.5))
    assert json.loads((pool.path / POOL).read_text())["model"]["name"] == "tiny"


def test_a_pool_less_the_questions_of_another(pool, tmp_path):
    write(pool, draw(0))
    mine = read_pool(pool.path)
    elsewhere = dataclasses.replace(ITEM, id="elsewhere/9")  # the same words under another name
    fresh = dataclasses.replace(ITEM, question="What is 5 + 5?")
    other = dataclasses.replace(mine, items=(PooledItem(elsewhere, ()), PooledItem(fresh, ())))
    assert without(mine, other).items == ()
    assert without(other, mine).items == other.items[1:]


def test_the_gain_of_a_vote_over_single_draws(pool):
    """Two of three draws are right, and so is their vote: a third is gained. One question alone shows nothing."""
    write(pool, draw(0), draw(1), draw(2, "3"))
    found = gain(read_pool(pool.path))
    assert found.questions == 1
    assert found.difference.mean == pytest.approx(1 / 3)
    assert found.p_value == pytest.approx(1.0)


def test_a_pool_without_draws_has_no_gain(pool):
    write(pool, draw(0))
    with pytest.raises(DataError):
        gain(dataclasses.replace(read_pool(pool.path), items=()))
