import numpy as np
import pytest

from poise.evals import stats
from poise.lab.heads import Fit, _pairs, calibrated, fit, split_questions
from poise.lab.readout import Places
from poise.models.head import HeadCard

CARD = HeadCard("verifier", "tiny", (1,), pooled=False)


def places(questions=120, draws=8, seed=0, signal=2.0):
    """Draws of four lines; the outcome shows in the first feature, more so the deeper."""
    rng = np.random.default_rng(seed)
    rows, depths, draw, question, right, last = [], [], [], [], [], []
    for number in range(questions):
        easy = rng.uniform(0.2, 0.8)
        for index in range(draws):
            good = rng.random() < easy
            for line in range(1, 5):
                state = rng.normal(size=6)
                state[0] += signal * (2 * good - 1) * line / 4
                rows.append(state)
                depths.append(line)
                draw.append(number * 1000 + index)
                question.append(number)
                right.append(good)
                last.append(line == 4)
    return Places(
        np.array(rows, np.float32),
        np.array(depths),
        np.array(draw),
        np.array(question),
        np.array(right),
        np.array(last),
    )


def test_pairs_are_ends_of_right_and_wrong_draws_of_one_question():
    some = places(30, seed=5)
    pairs = _pairs(some).numpy()
    right, wrong = pairs.T
    assert len({tuple(pair) for pair in pairs.tolist()}) == len(pairs)
    assert some.right[right].all()
    assert not some.right[wrong].any()
    assert some.last[pairs].all()
    np.testing.assert_array_equal(some.questions[right], some.questions[wrong])
    ends = some.where(some.last)
    mixed = [ends.right[ends.questions == number] for number in range(30)]
    assert len(pairs) == sum(int(part.sum() * (~part).sum()) for part in mixed)


def test_ranking_counts_what_differs_within_a_question():
    """The second feature tells easy questions from hard ones; the first, faintly, right draws from wrong ones."""

    def easy_ones(some, seed):
        shares = {int(q): some.right[some.questions == q].mean() for q in np.unique(some.questions)}
        noise = np.random.default_rng(seed).normal(size=len(some.right)) * 0.05
        some.features[:, 1] = 4 * np.array([shares[int(q)] for q in some.questions]) + noise
        return some

    seen, held = (easy_ones(places(n, seed=s, signal=0.6), s) for n, s in ((120, 1), (40, 2)))
    plain, ranked = (fit(seen, held, CARD, how) for how in (Fit(), Fit(ranking=4.0)))
    share = [abs(float(head.weights[0][0, 0] / head.weights[0][1, 0])) for head in (plain, ranked)]
    assert share[1] > 1.1 * share[0]


@pytest.mark.parametrize("hidden", [0, 16])
def test_a_head_learns_what_is_there_and_no_more(hidden):
    seen, held, fresh = places(seed=1), places(40, seed=2), places(60, seed=3)
    head = fit(seen, held, CARD, Fit(hidden))
    last = fresh.where(fresh.last)
    area = stats.auroc_within(last.questions.tolist(), head.raw(last.features).tolist(), last.right.tolist())
    assert area is not None
    assert area > 0.9
    noise = fit(places(seed=1, signal=0.0), places(40, seed=2, signal=0.0), CARD, Fit(hidden))
    nothing = places(60, seed=4, signal=0.0)
    ends = nothing.where(nothing.last)
    area = stats.auroc_within(ends.questions.tolist(), noise.raw(ends.features).tolist(), ends.right.tolist())
    assert area is not None
    assert abs(area - 0.5) < 0.1


def test_calibration_mends_what_is_too_sure_and_keeps_the_order():
    head = fit(places(seed=1, signal=0.4), places(40, seed=2, signal=0.4), CARD)
    sure = type(head)(CARD, head.mean, head.scale, (head.weights[0] * 5,), (head.biases[0] * 5,))
    mended = calibrated(sure, places(150, seed=5, signal=0.4))
    fresh = places(100, seed=6, signal=0.4)
    last = fresh.where(fresh.last)
    right = last.right.tolist()
    before = stats.calibration_error(sure.raw(last.features).tolist(), right)
    after = stats.calibration_error(mended.probability(last.features, last.depths).tolist(), right)
    assert after < before / 2
    areas = [
        stats.auroc_within(last.questions.tolist(), values.tolist(), right)
        for values in (sure.raw(last.features), mended.probability(last.features, last.depths))
    ]
    assert areas[0] == pytest.approx(areas[1], abs=0.01)


def test_early_lines_are_less_sure_than_late_ones():
    head = calibrated(fit(places(seed=1), places(40, seed=2), CARD), places(150, seed=5))
    fresh = places(100, seed=7)
    spread = [
        float(np.std(head.probability(part.features, part.depths)))
        for part in (fresh.where(fresh.depths == d) for d in (1, 4))
    ]
    assert spread[0] < spread[1]


def test_parts_share_no_question():
    whole = places(50)
    parts = split_questions(whole, (0.7, 0.1, 0.2), seed=3)
    assert sum(part.sum() for part in parts) == len(whole.right)
    groups = [set(whole.questions[part].tolist()) for part in parts]
    assert not groups[0] & groups[1]
    assert not groups[0] & groups[2]
    assert [len(group) for group in groups] == [35, 5, 10]
