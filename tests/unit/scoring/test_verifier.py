import asyncio
import importlib.util
import json
import threading
from dataclasses import replace

import pytest
from commands import output_of
from tiny_lm import dense

from poise.cli import app
from poise.core import Draft, Finish, Kind, Request, Step
from poise.engines.scripted import Scripted
from poise.errors import ConfigError, ModelError, UnknownName
from poise.models.head import load_head, save_head
from poise.scorers import scorer_of
from poise.scoring.reading import Reading, partial_card
from poise.scoring.verifier import Probe, Verifier

REQUEST = Request.ask("What is 3 + 4?", Kind.NUMBER)


@pytest.fixture
def folder(heads):
    """A random head over a tiny policy."""
    return heads / "verifier"


def path(text, finish=Finish.EOS):
    return (Step(1, 0, Draft(text, finish, 3)),)


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


async def test_what_does_not_fit_into_the_policy_is_a_failed_score(folder):
    paths = [path("7"), path("7" * 600), path("8")]
    first, over, last = await Verifier(str(folder)).score(REQUEST, paths)
    assert over.failure
    assert over.value == over.usage.scorer_tokens == 0
    alone = await Verifier(str(folder)).score(REQUEST, [paths[0], paths[2]])
    assert [first.value, last.value] == pytest.approx([score.value for score in alone], abs=1e-5)
    assert not first.failure
    assert not last.failure


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
    with pytest.raises(ConfigError, match="the policy of this head for default"):
        await Verifier(str(folder)).score(REQUEST, [path("1")])
    with pytest.raises(ModelError, match="no head"):
        await Verifier(str(folder / "none")).score(REQUEST, [path("1")])


def test_reading_some_layers_costs_their_share():
    card = dense().card
    half = partial_card(card, 1)
    assert half.layers == 1
    assert half.body_parameters == round(card.body_parameters / 2)
    assert partial_card(card, card.layers) == card


def test_what_is_missing_is_said_before_anything_is_loaded(heads, monkeypatch):
    difficulty = load_head(heads / "probe")
    save_head(replace(difficulty, card=replace(difficulty.card, kind="difficulty")), heads / "difficulty")
    monkeypatch.setattr("poise.models.reader.load_dense", lambda name: pytest.fail("loaded"))
    scorer_of("verifier").ready()
    scorer_of("probe").ready()
    with pytest.raises(ModelError, match=r"no head that can be read.*poise lab verifier"):
        Probe(str(heads / "none")).ready()
    with pytest.raises(UnknownName, match="default"):
        Verifier(model="defalt").ready()
    with pytest.raises(ConfigError, match="a difficulty head"):
        Verifier(str(heads / "difficulty")).ready()
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "torch" else find(name))
    with pytest.raises(ConfigError, match=r'scorer verifier.*torch is not installed.*pip install "poise\[torch\]"'):
        Verifier().ready()


def invoke(*words):
    return output_of(app, *words, "--engine", "scripted")


@pytest.fixture
def sums(tmp_path):
    path = tmp_path / "sums.jsonl"
    path.write_text('{"question": "What is 3 + 4?", "answer": "7", "kind": "number"}\n')
    return path


def test_the_command_line_scores_by_name(heads, sums, tmp_path):
    words = "ask", "What is 3 + 4?", "--explain"
    assert "verifier 0." in invoke(*words, "--strategy", "best_of_n:n=3", "--scorer", "verifier")
    assert "probe 0." in invoke(*words, "--strategy", "weighted_vote:n=3,scorer=probe")
    arms = "best_of_n:n=2,scorer=verifier weighted_vote:n=2,scorer=probe"
    invoke("bench", "--task", sums, "--arms", arms, "--run", tmp_path / "run")
    rows = [json.loads(line) for line in (tmp_path / "run" / "grades.jsonl").read_text().splitlines()]
    assert len(rows) == 2
    assert all("error" not in row and row["usage"]["scorer_tokens"] > 0 for row in rows)


def test_without_a_head_nothing_is_drawn(sums, tmp_path, monkeypatch):
    monkeypatch.setattr("poise.scoring.verifier.HEADS", tmp_path / "none")
    monkeypatch.setattr(Scripted, "stream", lambda *words: pytest.fail("drawn"))
    with pytest.raises(ModelError, match="no head"):
        invoke("ask", "What is 3 + 4?", "--strategy", "best_of_n", "--scorer", "verifier")
    with pytest.raises(ModelError, match="no head"):
        invoke("bench", "--task", sums, "--arms", "weighted_vote:scorer=probe", "--run", tmp_path / "run")
    assert not (tmp_path / "run").exists()
