import itertools
import json

import numpy as np
import pytest
import torch

from poise.errors import ModelError
from poise.models.head import CARD, FILE, Head, HeadCard, features_at, load_head, save_head, with_figures

RNG = np.random.default_rng(3)


def head(*widths: int, knots=()):
    shapes = list(itertools.pairwise(widths))
    return Head(
        HeadCard("verifier", "tiny", (1, 2), pooled=False),
        RNG.normal(size=widths[0]).astype(np.float32),
        RNG.uniform(0.5, 2, widths[0]).astype(np.float32),
        tuple(RNG.normal(size=shape).astype(np.float16).astype(np.float32) for shape in shapes),
        tuple(RNG.normal(size=shape[1]).astype(np.float32) for shape in shapes),
        tuple(np.asarray(table, dtype=np.float32) for table in knots),
    )


def test_a_network_is_what_torch_makes_of_it():
    made, x = head(6, 4, 1), RNG.normal(size=(9, 6)).astype(np.float32)
    told = torch.from_numpy((x - made.mean) / made.scale) @ torch.from_numpy(made.weights[0]) + torch.from_numpy(
        made.biases[0]
    )
    told = torch.nn.functional.gelu(told, approximate="tanh") @ torch.from_numpy(made.weights[1]) + made.biases[1][0]
    np.testing.assert_allclose(made.raw(x), torch.sigmoid(told)[:, 0].numpy(), atol=1e-5)
    assert made.parameters == 6 * 4 + 4


def test_each_depth_has_its_calibration_and_deep_ones_the_last():
    made = head(3, 1, knots=([[0, 1], [0.2, 0.2]], [[0, 1], [0.5, 0.5]]))
    told = made.probability(np.zeros((4, 3), np.float32), np.array([0, 1, 2, 9]))
    np.testing.assert_allclose(told, [0.2, 0.2, 0.5, 0.5])


def test_without_calibration_raw_values_stand():
    made, x = head(3, 1), RNG.normal(size=(4, 3)).astype(np.float32)
    np.testing.assert_array_equal(made.probability(x, np.ones(4, np.int64)), made.raw(x))


def test_a_head_is_read_as_it_was_written(tmp_path):
    made, x = with_figures(head(5, 3, 1, knots=([[0, 1], [0, 1]],)), [("test", "AUROC .7")]), RNG.normal(size=(4, 5))
    save_head(made, tmp_path)
    found = load_head(tmp_path)
    assert found.card == made.card
    np.testing.assert_allclose(found.raw(x), made.raw(x), atol=1e-6)
    assert len(found.knots) == 1


@pytest.mark.parametrize("name", [FILE, CARD])
def test_a_head_that_is_missing_or_torn_is_a_clean_error(tmp_path, name):
    save_head(head(3, 1), tmp_path)
    whole = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ModelError, match="no head that can be read"):
        load_head(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(ModelError, match="no head that can be read"):
        load_head(tmp_path)


def test_a_card_without_a_field_is_a_clean_error(tmp_path):
    save_head(head(3, 1), tmp_path)
    card = json.loads((tmp_path / CARD).read_text())
    del card["layers"]
    (tmp_path / CARD).write_text(json.dumps(card))
    with pytest.raises(ModelError, match="layers"):
        load_head(tmp_path)


def test_features_at_are_the_mean_up_to_each_place():
    states = RNG.normal(size=(5, 2)).astype(np.float32)
    found = features_at(states, np.array([0, 3]), pooled=True)
    np.testing.assert_allclose(found, [[*states[0], *states[0]], [*states[3], *states[:4].mean(0)]], atol=1e-6)
    np.testing.assert_array_equal(features_at(states, np.array([2]), pooled=False), states[[2]])


def test_surprise_is_told_as_it_was_up_to_each_place():
    surprise = np.array([0.1, 2.0, 0.4, 0.0], np.float32)
    states = np.concatenate([RNG.normal(size=(4, 2)), surprise[:, None]], 1).astype(np.float32)
    found = features_at(states, np.array([0, 3]), pooled=False, surprise=True)
    assert found.shape == (2, HeadCard("verifier", "tiny", (1,), pooled=False, surprise=True).features(2))
    np.testing.assert_array_equal(found[:, :2], states[[0, 3], :2])
    first = [0.1, 0.1, 0.0, 0.0, 0.1, 0.0]
    np.testing.assert_allclose(found[:, 2:], [first, [0.625, 2.0, 0.5, 0.25, 0.625, np.log(4)]], atol=1e-6)
    long = np.concatenate([np.full(4, 9.0), np.ones(16)]).astype(np.float32)[:, None]
    ends = features_at(np.concatenate([long, long], 1), np.array([19]), pooled=False, surprise=True)
    assert ends[0, -2] == 1.0  # the last 16 alone
