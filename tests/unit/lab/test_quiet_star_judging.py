"""Judging thoughts: the same figures as greedy decoding and as whole texts one by one."""

import pytest
import torch
from tiny_lm import llama, tokenizer

from poise.errors import ConfigError
from poise.lab.batches import Encoded
from poise.lab.quiet_star.judging import judged
from poise.models.quiet_star.config import QuietStarConfig
from poise.models.quiet_star.model import QuietStar
from poise.models.quiet_star.thoughts import parallel

CONFIG = QuietStarConfig(n_ahead=5, n_ahead_talk=1, n_passes=2)


@pytest.fixture
def model():
    torch.manual_seed(7)
    made = QuietStar(llama(), tokenizer(), CONFIG)
    torch.nn.init.normal_(made.mixer.last.weight, std=0.5)
    return made.requires_grad_(False)


def greedy(model, head, count):
    ids = list(head)
    for _ in range(count):
        ids.append(int(model.model(torch.tensor([ids])).logits[0, -1].argmax()))
    return ids


def test_an_answer_is_right_where_greedy_decoding_says_it(model):
    said = greedy(model, [5, 9, 77], 4)
    rows = [Encoded(tuple(said), 3), Encoded((*said[:-1], (said[-1] + 1) % 258), 3), Encoded(tuple(said[:5]), 3)]
    found = judged(model, rows, batch=2)
    assert [each.base_right for each in found] == [True, False, True]
    assert [each.tokens for each in found] == [4, 4, 2]
    for row, each in zip(rows, found, strict=True):
        likely = torch.log_softmax(model.model(torch.tensor([row.tokens])).logits[0].float(), -1)
        nats = -sum(float(likely[place - 1, row.tokens[place]]) for place in range(row.start, len(row.tokens)))
        assert each.base == pytest.approx(nats, abs=1e-4)


def test_the_mixed_figures_are_those_of_thoughts_at_every_place(model):
    row = Encoded((5, 9, 77, 41, 9, 130), 3)
    dice = torch.Generator().manual_seed(1_000_003)
    told = parallel(
        model,
        ids := torch.tensor([row.tokens]),
        torch.rand(1, 3, 2, generator=dice),
        at=torch.tensor([[2, 3, 4]]),
    )
    likely = torch.log_softmax(model.logits(told.mixed[0, :, 0]).float(), -1)
    [found] = judged(model, [row])
    assert found.mixed == pytest.approx(-float(likely.gather(1, ids[0, 3:, None]).sum()), abs=1e-4)
    assert found.mixed_right == bool((likely.argmax(-1) == ids[0, 3:]).all())
    assert judged(model, [row], filler=8)[0].mixed != found.mixed
    assert judged(model, [row], seed=2)[0].mixed != found.mixed


def test_an_example_without_an_answer_is_refused(model):
    with pytest.raises(ConfigError, match="rows"):
        judged(model, [Encoded((5, 9), 2)])
