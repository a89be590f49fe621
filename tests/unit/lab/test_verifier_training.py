"""From a pool of draws to heads, on a tiny policy that reads."""

import numpy as np
import pytest
from lab_pools import DRAWS, N, recorded, write_task
from tiny_lm import dense

from poise.lab import difficulty
from poise.lab.heads import Fit
from poise.lab.pool import read_pool
from poise.lab.readout import read_out
from poise.lab.verifier import choices, measured, save, scores_of, train_head
from poise.models.head import HeadCard, load_head
from poise.models.reader import load_reader

CARD = HeadCard("verifier", "tiny", (1, 2))


@pytest.fixture
async def pool(tmp_path):
    return read_pool((await recorded(tmp_path / "pool", write_task(tmp_path))).path)


@pytest.fixture(scope="module")
def reader():
    return load_reader(dense())


async def test_every_draw_is_read_where_its_lines_end(pool, reader):
    told = []
    places = read_out(reader, pool.items, CARD, watch=told.append)
    assert told == list(range(1, N + 1))
    assert places.features.shape == (len(places.right), 2 * 2 * reader.card.width)
    assert places.last.sum() == N * DRAWS
    draws = [draw for one in pool.items for draw in one.draws]
    assert places.right[places.last].tolist() == [draw.correct for draw in draws]
    lines = [draw.draft.text.rstrip("\n").count("\n") + 1 for draw in draws]
    assert places.depths[places.last].tolist() == lines


async def test_a_head_is_trained_measured_and_kept(pool, reader, tmp_path):
    places = read_out(reader, pool.items, CARD)
    head = train_head(Fit(8), places, CARD)
    figures = measured(head, places, pool)
    assert 0 <= figures.interval[0] <= figures.auroc <= figures.interval[1] <= 1
    assert (figures.n, figures.questions) == (N * DRAWS, N)
    save(head, [("these", figures)], tmp_path / "head")
    kept = load_head(tmp_path / "head")
    assert "AUROC" in dict(kept.card.measured)["these"]
    for one, other in zip(scores_of(head, places, pool), scores_of(kept, places, pool), strict=True):
        np.testing.assert_allclose(one, other, atol=0.02)  # weights are kept in half precision


async def test_choices_by_the_truth_beat_the_majority_and_by_nothing_do_not(pool):
    truth = [np.array(one.grades, dtype=np.float32) for one in pool.items]
    best, weighted = choices(pool, truth, 8)
    passed = sum(any(one.grades[:8]) for one in pool.items)
    assert best.right == weighted.right == passed
    assert best.only_majority == 0
    assert best.majority_right == sum(one.majority(8) for one in pool.items)
    even = [np.ones(len(one.draws), dtype=np.float32) for one in pool.items]
    assert choices(pool, even, 8)[1].right == best.majority_right
    assert "McNemar" in best.text()


async def test_a_difficulty_probe_sees_the_question_alone(pool, reader):
    places = difficulty.read_questions(reader, pool.items, (2,))
    assert len(places.right) == N * DRAWS
    for number in range(N):
        rows = places.features[places.questions == number]
        np.testing.assert_array_equal(rows, np.repeat(rows[:1], DRAWS, 0))
    card = HeadCard("difficulty", "tiny", (2,), pooled=False)
    head = train_head(Fit(), places, card)
    foreseen = difficulty.measure_difficulty(head, reader, pool)
    assert 0 <= foreseen.auroc <= 1
    assert (foreseen.n, foreseen.questions) == (N * DRAWS, N)
