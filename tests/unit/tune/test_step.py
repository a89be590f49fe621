"""One step on a tiny model: what is tried, what it costs, and that it repeats."""

import dataclasses

import pytest
from tiny_lm import INST, SPACED, dense, llama, metaspace

from poise.engines.torch_lm import TorchLM
from poise.errors import ConfigError
from poise.tune.lengths import Shorter
from poise.tune.phrases import Phrases
from poise.tune.race import Race
from poise.tune.rows import LossTerms
from poise.tune.shortlist import By, Kind, Source
from poise.tune.step import StepSettings
from poise.tune.steppers import steps_of

SETTINGS = StepSettings(rows=3, candidates=5, tries=3, reasoning_tokens=6, race=Race(block=3, most=6))
PROMPT = "Think it over."


def stepper(engine, task, settings=SETTINGS, seed=0):
    return steps_of(engine, task, task.items(12, 0), settings, LossTerms(), seed)


async def test_a_step_tries_its_shortlist_and_the_edits_that_shorten(engine, task):
    found = await stepper(engine, task).step(1, PROMPT, 4)
    kinds = [tried.edit.kind for tried in found.tried]
    assert 1 <= kinds.count(Kind.SWAP) <= 3
    assert Kind.DELETE in kinds
    assert all(tried.prompt != PROMPT and tried.prompt.strip() for tried in found.tried)
    assert {tried.edit.source for tried in found.tried} <= set(Source)
    assert found.failed == 0
    rows = 3 + sum(tried.standing.rows for tried in found.tried) + max(t.standing.rows for t in found.tried)
    assert found.spent.calls >= rows
    assert found.spent.tokens > found.spent.calls


async def test_the_same_seed_takes_the_same_step(engine, task):
    one, again = [await stepper(engine, task).step(1, PROMPT, 4) for _ in range(2)]
    assert one == again
    other = await stepper(engine, task, seed=1).step(1, PROMPT, 4)
    assert other.tried != one.tried


@pytest.mark.parametrize("how", SPACED)
@pytest.mark.parametrize("by", [By.MIXED, By.GREATER])
async def test_edits_are_of_the_tokens_that_the_prompt_has_in_its_turn(task, how, by):
    """With a tokenizer that puts a space before the first word of a text."""
    words = metaspace(how, INST)
    engine = TorchLM(dense(llama(vocab_size=len(words)), words), slots=16, context=256)
    steps = stepper(engine, task, dataclasses.replace(SETTINGS, by=by))
    ids = steps._asking.ids("Think it over.")
    assert len(ids) == len(words("Think it over.", add_special_tokens=False).input_ids)
    for place in (0, 1, 4):
        tried = (await steps.step(1, "Think it over.", place)).tried
        swaps = [each for each in tried if each.edit.kind is Kind.SWAP and each.prompt != "Think it over."]
        assert swaps
        assert all(steps._asking.ids(each.prompt) == each.edit.of(ids) for each in swaps)
    await engine.aclose()


async def test_controls_take_no_gradient(engine, task):
    for by in (By.RANDOM, By.LIKELIHOOD):
        found = await stepper(engine, task, dataclasses.replace(SETTINGS, by=by)).step(1, PROMPT, 4)
        swaps = [tried.edit for tried in found.tried if tried.edit.kind is Kind.SWAP]
        assert swaps
        assert all(edit.slope is None for edit in swaps)


async def test_what_nothing_beats_stays(engine, task):
    """A random model answers nothing right, whatever the prompt."""
    found = await stepper(engine, task).step(1, PROMPT, 4)
    assert (found.prompt, found.accepted) == (PROMPT, None)


async def test_with_length_as_an_objective_edits_of_length_are_raced(engine, task):
    """Nothing is right here, but answers differ in length: what is tried says how long they were."""
    bank = Shorter(phrases=Phrases(("Be brief.", "Use at most {n} words."), default=40))
    settings = dataclasses.replace(SETTINGS, shorter=bank, reasoning_tokens=30)
    found = await stepper(engine, task, settings).step(1, "Use 40 words. Think.", 4)
    kinds = [tried.edit.kind for tried in found.tried]
    assert kinds.count(Kind.NUMBER) == 2
    assert kinds.count(Kind.CUT) == kinds.count(Kind.INSERT) == 1
    texts = {tried.prompt for tried in found.tried}
    assert {"Use 20 words. Think.", "Use 80 words. Think."} < texts
    assert all(0 < tried.tokens <= 30 and 0 < tried.against <= 30 for tried in found.tried)
    again = await stepper(engine, task, settings).step(1, "Use 40 words. Think.", 4)
    assert again == found


async def test_with_no_tries_edits_of_length_alone_are_raced(engine, task):
    """No token is proposed, and no gradient taken: all that is spent is answers."""
    bank = Shorter(phrases=Phrases(("Be brief.", "Use at most {n} words."), default=40))
    settings = dataclasses.replace(SETTINGS, shorter=bank, tries=0)
    steps = stepper(engine, task, settings)
    found = await steps.step(1, "Use 40 words. Think.", 4)
    assert {tried.edit.kind for tried in found.tried} == {Kind.NUMBER, Kind.CUT, Kind.INSERT}
    assert found.spent.tokens <= found.spent.calls * SETTINGS.reasoning_tokens
    most = steps.most("Use 40 words. Think.")
    assert (most.calls, most.tokens) == (5 * 6, 5 * 6 * SETTINGS.reasoning_tokens)
    assert found.spent.calls <= most.calls


async def test_an_edit_that_fills_the_window_is_not_tried(engine, task):
    bank = Shorter(phrases=Phrases(("x" * 220,)))
    found = await stepper(engine, task, dataclasses.replace(SETTINGS, shorter=bank)).step(1, PROMPT, 4)
    assert Kind.INSERT not in {tried.edit.kind for tried in found.tried}
    assert Kind.DELETE in {tried.edit.kind for tried in found.tried}


async def test_what_cannot_work_is_refused(engine, task):
    with pytest.raises(ConfigError, match="place"):
        await stepper(engine, task).step(1, PROMPT, 99)
    with pytest.raises(ConfigError, match="trainset"):
        steps_of(engine, task, [], SETTINGS, LossTerms(), 0)
    with pytest.raises(ConfigError, match="tries"):
        StepSettings(tries=0)


def test_looks_stay_a_block_apart_where_length_counts():
    assert [places.stop for places in StepSettings().looks.blocks(60)] == [10, 30, 50]
    assert [places.stop for places in StepSettings(shorter=Shorter()).looks.blocks(60)] == [10, 20, 30, 40, 50]
