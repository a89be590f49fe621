import asyncio
import threading

import numpy as np
import pytest
from tiny_lm import dense

from poise.core import Draft, Finish, Kind, Request, Step
from poise.errors import ConfigError, ModelError
from poise.models.head import Head, HeadCard, save_head
from poise.scoring import verifier as module
from poise.scoring.verifier import Probe, Reading, Verifier, partial_card
from poise.testing import check_scorer

REQUEST = Request.ask("What is 3 + 4?", Kind.NUMBER)
RNG = np.random.default_rng(1)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A random head over a tiny policy."""
    width = 2 * 2 * 32
    head = Head(
        HeadCard("verifier", "tiny", (1, 2)),
        np.zeros(width, np.float32),
        np.ones(width, np.float32),
        (RNG.normal(scale=0.02, size=(width, 1)).astype(np.float32),),
        (np.zeros(1, np.float32),),
    )
    save_head(head, tmp_path)
    monkeypatch.setattr("poise.models.dense.load_dense", lambda name: dense())
    monkeypatch.setattr("poise.models.reader.load_dense", lambda name: dense())
    return tmp_path


def path(text, finish=Finish.EOS):
    return (Step(1, 0, Draft(text, finish, 3)),)


async def test_the_laws_hold(folder):
    await check_scorer(Verifier(str(folder)))
    await check_scorer(Probe(str(folder)))


async def test_a_path_in_steps_scores_as_its_text(folder):
    scorer = Verifier(str(folder))
    whole = path("a = 1\nb = 2")
    parts = (Step(1, 0, Draft("a = 1\n", Finish.DELIMITER, 3)), Step(2, 1, Draft("b = 2", Finish.EOS, 3)))
    one, other = await scorer.score(REQUEST, [whole, parts])
    assert one.value == pytest.approx(other.value, abs=1e-5)
    [unended] = await scorer.score(REQUEST, [path("a = 1\nb = 2", Finish.LENGTH)])
    assert unended.value != pytest.approx(one.value, abs=1e-5)


async def test_what_is_scored_together_scores_as_alone(folder):
    scorer = Verifier(str(folder))
    paths = [path(text) for text in ("7", "3 + 4 = 7\n#### 7", "x" * 40)]
    together = await scorer.score(REQUEST, paths)
    alone = [(await scorer.score(REQUEST, [each]))[0] for each in paths]
    assert [a.value for a in alone] == pytest.approx([t.value for t in together], abs=1e-5)
    shared = together[1].usage.cached_prompt_tokens
    assert shared > 0
    assert alone[1].usage.scorer_tokens == together[1].usage.scorer_tokens + shared
    assert alone[1].usage.flops > together[1].usage.flops > 0


async def test_requests_that_arrive_while_one_is_read_are_read_together(folder, monkeypatch):
    scorer = Verifier(str(folder))
    await scorer.score(REQUEST, [path("1")])
    sizes, hold = [], threading.Event()
    plain = Reading.read

    def slow(self, jobs):
        sizes.append(len(jobs))
        if len(sizes) == 1:
            hold.wait(10)
        return plain(self, jobs)

    monkeypatch.setattr(Reading, "read", slow)
    tasks = [asyncio.create_task(scorer.score(REQUEST, [path(str(number))])) for number in range(5)]
    await asyncio.sleep(0.3)
    hold.set()
    found = await asyncio.gather(*tasks)
    assert len(found) == 5
    assert sum(sizes) == 5
    assert len(sizes) < 5


async def test_an_error_while_reading_reaches_everyone_who_waits(folder, monkeypatch):
    def broken(self, jobs):
        raise RuntimeError("out of memory")

    monkeypatch.setattr(Reading, "read", broken)
    scorer = Verifier(str(folder))
    found = await asyncio.gather(*(scorer.score(REQUEST, [path("1")]) for _ in range(3)), return_exceptions=True)
    assert [str(error) for error in found] == ["out of memory"] * 3


async def test_a_head_for_another_policy_is_refused(folder, monkeypatch):
    from tiny_lm import llama

    monkeypatch.setattr("poise.models.reader.load_dense", lambda name: dense(llama(hidden_size=16)))
    with pytest.raises(ConfigError, match="a head for tiny"):
        await Verifier(str(folder)).score(REQUEST, [path("1")])
    with pytest.raises(ModelError, match="no head"):
        await Verifier(str(folder / "none")).score(REQUEST, [path("1")])


def test_reading_some_layers_costs_their_share():
    card = dense().card
    half = partial_card(card, 1)
    assert half.layers == 1
    assert half.body_parameters == round(card.body_parameters / 2)
    assert module.partial_card(card, card.layers) == card
