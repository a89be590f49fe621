"""Prefixes of recorded drafts, gone on with by the scripted engine, and what guesses at them are worth."""

import asyncio
import json
import re
from dataclasses import replace

import numpy as np
import pytest
from lab_pools import DRAWS, N, recorded, write_task
from tiny_lm import dense

from poise.core import Ability, Finish, Kind, Role, Score
from poise.engines.replay import Replay
from poise.engines.scripted import Script, Scripted
from poise.engines.wrapper import Wrapper
from poise.errors import AbilityMissing, ConfigError, ScorerError, StoreError
from poise.evals.rows import Item
from poise.lab import readout
from poise.lab.pool import read_pool
from poise.lab.prefix_check import checked, outcomes, scored
from poise.lab.prefixes import LABELS, Label, Prefix, PrefixDir, PrefixSettings, chosen, line_ends, record
from poise.lab.readout import read_out
from poise.models.head import Head, HeadCard, save_head
from poise.models.reader import load_reader
from poise.models.turns import Text, text_ids
from poise.scoring.verifier import Verifier
from poise.testing import virtual

SETTINGS = PrefixSettings(questions=8, draws=4, seed=5)


def script(question):
    """Three lines; even questions are right in half of the draws, odd ones never."""
    truth = question.split()[1]
    return Script(((truth, 1 - int(truth) % 2), ("-1", 1)), (9, 30), steps=3, seconds_per_token=0.01)


class Watched(Wrapper):
    """Keeps what is asked of it."""

    def __init__(self, **knobs):
        super().__init__(Scripted(script, **knobs))
        self.asked = []

    def stream(self, prompt, sampling, n=1):
        self.asked.append((prompt, sampling, n))
        return self._engine.stream(prompt, sampling, n)


@pytest.fixture
def task(tmp_path):
    return write_task(tmp_path)


@pytest.fixture
def pool(tmp_path, task):
    return read_pool(virtual(recorded(tmp_path / "pool", task, Scripted(script, slots=8))).path)


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "prefixes"


def went_on(pool, folder, engine=None, settings=SETTINGS, **knobs):
    return virtual(record(pool, settings, engine or Watched(slots=8), PrefixDir(folder), **knobs))


def test_lines_end_where_text_follows_and_a_reader_finds_them_there():
    reader = load_reader(dense())
    for text in ("a\nb\n\nc\n  d\ne\n", "\na\nb", "one line", "", "a\n\n"):
        ends = line_ends(text)
        assert all(text[end - 1] == "\n" and text[:end].strip() and not text[end].isspace() for end in ends)
        places = readout.line_ends(reader, text_ids(reader.tokenizer, Text(text, False))).tolist() if text else []
        for end in ends:
            assert len(text_ids(reader.tokenizer, Text(text[:end], False))) - 1 in places[:-1]
    assert line_ends("a\nb\n\nc\n  d\ne\n") == [2, 5, 11]


def test_mixed_questions_come_first_and_drafts_are_cut_after_a_line_but_the_last(pool):
    prefixes = chosen(pool, SETTINGS)
    assert len(prefixes) == 16
    numbers = [int(prefix.item.question.split()[1]) for prefix in prefixes]
    assert {number % 2 for number in numbers[:12]} == {0}
    assert {number % 2 for number in numbers[12:]} == {1}
    drafts = {(one.item.id, draw.index): draw for one in pool.items for draw in one.draws}
    for prefix in prefixes:
        draw = drafts[prefix.item.id, prefix.draw]
        assert draw.draft.text.startswith(prefix.text)
        assert prefix.text.endswith("\n")
        assert prefix.lines in (1, 2)
        assert 0 < prefix.tokens < draw.draft.tokens
        assert prefix.outcome == draw.correct
    assert {prefix.lines for prefix in prefixes} == {1, 2}
    assert {prefix.outcome for prefix in prefixes[:12]} == {True, False}
    assert len({prefix.id for prefix in prefixes}) == 16


def test_the_seed_alone_decides_what_is_chosen(pool):
    assert chosen(pool, SETTINGS) == chosen(pool, SETTINGS)
    assert chosen(pool, replace(SETTINGS, seed=6)) != chosen(pool, SETTINGS)
    assert chosen(pool, replace(SETTINGS, questions=4)) == chosen(pool, SETTINGS)[:8]
    assert len(chosen(pool, replace(SETTINGS, questions=99, per_question=99))) == N * DRAWS
    one_line = replace(pool, items=tuple(replace(one, draws=()) for one in pool.items))
    with pytest.raises(ConfigError, match="more than one line"):
        chosen(one_line, SETTINGS)


@pytest.mark.parametrize("knob", ["questions", "per_question", "draws"])
def test_absurd_settings_are_refused(knob):
    with pytest.raises(ConfigError, match=knob):
        PrefixSettings(**{knob: 0})


def test_every_prefix_is_gone_on_with_and_the_whole_text_is_graded(pool, folder):
    engine, seen = Watched(slots=4), []
    labels = went_on(pool, folder, engine, watch=seen.append)
    prefixes = chosen(pool, SETTINGS)
    assert [label.prefix for label in labels] == prefixes
    assert all(len(label.right) == 4 for label in labels)
    assert [n for *_, n in engine.asked] == [4] * 16
    for (prompt, sampling, _), prefix in zip(engine.asked, prefixes, strict=True):
        assert [message.role for message in prompt] == [Role.USER, Role.ASSISTANT]
        assert prompt[-1].text == prefix.text
        assert sampling.max_tokens == pool.settings.sampling.max_tokens - prefix.tokens
        assert sampling.top_logprobs is None
    mixed = [label.share for label in labels[:12]]
    assert 0.2 < sum(mixed) / 12 < 0.8
    assert {label.share for label in labels[12:]} == {0.0}
    assert (seen[-1].done, seen[-1].total) == (64, 64)
    lines = [json.loads(line) for line in (folder / LABELS).read_text().splitlines()]
    assert [(line["draws"], line["right"]) for line in lines] == [(4, sum(label.right)) for label in labels]
    assert [line["prefix"] for line in lines] == [prefix.text for prefix in prefixes]


def test_an_answer_that_stands_in_the_prefix_counts(pool, folder):
    class Silent(Watched):
        def stream(self, prompt, sampling, n=1):
            return super().stream(prompt, replace(sampling, max_tokens=1), n)

    said = []
    for one in pool.items:
        text = f"The answer is {one.item.truth}.\nSo w1 w2"
        said.append(replace(one, draws=tuple(replace(d, draft=replace(d.draft, text=text)) for d in one.draws)))
    labels = went_on(replace(pool, items=tuple(said)), folder, Silent(slots=4))
    drawn = list(PrefixDir(folder).draws())
    assert all(not re.search(r"\d\.", draw.draft.text) and draw.draft.finish is Finish.LENGTH for draw in drawn)
    assert {label.share for label in labels} == {1.0}


def test_an_interrupted_recording_goes_on_and_nothing_is_drawn_twice(pool, folder):
    async def stopped():
        enough = asyncio.Event()
        engine = Scripted(script, per_delta=1, slots=4)
        work = record(pool, SETTINGS, engine, PrefixDir(folder), lambda told: told.done >= 9 and enough.set(), 4)
        running = asyncio.create_task(work)
        await enough.wait()
        running.cancel()
        await asyncio.wait([running])

    virtual(stopped())
    before = {(draw.item, draw.index) for draw in PrefixDir(folder).draws()}
    assert 9 <= len(before) < 64
    assert not (folder / LABELS).exists()
    engine = Watched(slots=4)
    labels = went_on(pool, folder, engine)
    assert sum(n for *_, n in engine.asked) == 64 - len(before)
    assert all(len(label.right) == 4 for label in labels)
    again = Watched(slots=4)
    assert went_on(pool, folder, again) == labels
    assert again.asked == []
    with pytest.raises(ConfigError, match="draws"):
        went_on(pool, folder, again, replace(SETTINGS, draws=5))
    with pytest.raises(ConfigError, match="prefixes"):
        went_on(pool, folder, again, replace(SETTINGS, questions=2))
    with PrefixDir(folder).claimed(PrefixDir(folder).read("prefixes.json"), {}), pytest.raises(StoreError):
        went_on(pool, folder, again)


def test_what_cannot_work_is_refused_before_anything_is_drawn(pool, folder, tmp_path):
    engine = Scripted(script)
    engine.can -= {Ability.CONTINUES}
    for refused in (engine, Replay(tmp_path / "pool")):
        with pytest.raises(AbilityMissing, match="continue an assistant prefix"):
            went_on(pool, folder, refused)
    with pytest.raises(ConfigError, match="parallel"):
        went_on(pool, folder, parallel=-1)
    (tmp_path / "echo.jsonl").write_text((tmp_path / "echo.jsonl").read_text().replace("now", "then"))
    with pytest.raises(ConfigError, match="they have changed"):
        went_on(pool, folder)
    assert engine.generated == 0
    assert not folder.exists()


def labels_of(shares, draws=8, questions=None):
    """Labels of made-up prefixes with these shares; `questions` says which each belongs to."""
    found = []
    for number, share in enumerate(shares):
        question = f"q{number if questions is None else questions[number]}"
        item = Item(question, "made up", "?", "1", Kind.NUMBER, question)
        right = round(share * draws)
        found.append(
            Label(Prefix(item, number, 1, "a\n", 2, share > 0.5), (True,) * right + (False,) * (draws - right))
        )
    return found


def test_a_guess_that_knows_the_shares_is_best_and_outcomes_are_noisy():
    rng = np.random.default_rng(2)
    truth = rng.uniform(0, 1, 120) * (rng.random(120) < 0.8)
    labels = labels_of(rng.binomial(8, truth) / 8)
    labels = [
        replace(label, prefix=replace(label.prefix, outcome=bool(rng.random() < p)))
        for label, p in zip(labels, truth, strict=True)
    ]
    knowing, outcome = checked(truth.tolist(), labels), checked(outcomes(labels), labels)
    assert knowing.correlation.low <= knowing.correlation.mean <= knowing.correlation.high
    assert knowing.correlation.low > outcome.correlation.high > outcome.correlation.low > 0.2
    assert knowing.auroc.low > 0.9 > outcome.auroc.mean > 0.5
    assert knowing.ece < 0.05
    assert outcome.ece > 0.2
    assert (knowing.n, knowing.draws) == (120, 960)
    assert "n = 960 continuations of 120 prefixes" in knowing.text()


def test_prefixes_of_one_question_count_as_one_cluster():
    rng = np.random.default_rng(3)
    shares, guesses = rng.uniform(0, 1, 40), rng.uniform(0, 1, 40)
    alone = checked(guesses.tolist(), labels_of(shares))
    twice = [*labels_of(shares), *labels_of(shares)]
    again = checked([*guesses, *guesses], twice)
    assert again.correlation.mean == pytest.approx(alone.correlation.mean, abs=0.02)
    width = alone.correlation.high - alone.correlation.low
    assert again.correlation.high - again.correlation.low == pytest.approx(width, rel=0.15)


def test_of_nothing_but_failures_nothing_can_be_said():
    told = checked([0.1, 0.2, 0.3], labels_of([0, 0, 0]))
    assert (told.correlation, told.auroc) == (None, None)
    assert told.ece == pytest.approx(0.2)
    assert "unknown" in told.text()


async def test_a_verifier_says_of_a_prefix_what_it_was_trained_to_say_there(pool, tmp_path, monkeypatch):
    monkeypatch.setattr("poise.models.reader.load_dense", lambda name: dense())
    random = np.random.default_rng(1)
    head = Head(
        HeadCard("verifier", "default", (1, 2)),
        np.zeros(128, np.float32),
        np.ones(128, np.float32),
        (random.normal(scale=0.02, size=(128, 1)).astype(np.float16).astype(np.float32),),
        (np.zeros(1, np.float32),),
        tuple(np.array([[0, 1], [0.1 * depth, 0.1 * depth + 0.5]], np.float32) for depth in (1, 2, 3)),
    )
    save_head(head, tmp_path / "head")
    prefixes, told = chosen(pool, SETTINGS), []
    scores = await scored(
        [Label(prefix, (True,)) for prefix in prefixes], Verifier(str(tmp_path / "head")), told.append
    )
    assert told == list(range(1, 17))
    places = read_out(load_reader(dense()), pool.items, head.card)
    trained = head.probability(places.features, places.depths)
    numbers = {one.item.id: number for number, one in enumerate(pool.items)}
    for prefix, score in zip(prefixes, scores, strict=True):
        here = (places.draws == numbers[prefix.item.id] * 1_000 + prefix.draw) & (places.depths == prefix.lines)
        assert score == pytest.approx(float(trained[here][0]), abs=1e-4)


async def test_a_scorer_without_an_answer_is_an_error():
    class Mute:
        name, needs, top_logprobs = "mute", frozenset(), None

        async def score(self, request, paths):
            return [Score(0.0, failure="no logprobs")] * len(paths)

    with pytest.raises(ScorerError, match="mute: q0/0/1: no logprobs"):
        await scored(labels_of([0.5]), Mute())
