"""A task with a word planted that switches the model to right answers: who finds it, and for how much."""

import dataclasses
import random

from planted import ASKED, BRIEF, SWITCH, VOCABULARY, example, prompt

from poise.tune.lengths import Shorter
from poise.tune.phrases import Phrases
from poise.tune.race import Race
from poise.tune.rows import LossTerms
from poise.tune.shortlist import By, Kind, Source
from poise.tune.step import StepSettings
from poise.tune.steppers import steps_of

SETTINGS = StepSettings(By.GRADIENT, rows=8, candidates=24, tries=1, reasoning_tokens=10, race=Race(block=10, most=10))
SEEDS, PATIENCE = range(4), 80


async def searched(engine, task, by, seed):
    """Tokens spent until the switch stands in the prompt, or patience ends; and the last step."""
    settings = dataclasses.replace(SETTINGS, by=by)
    steps = steps_of(engine, task, task.items(20, 0), settings, LossTerms(), seed)
    now, last, spent = "".join(prompt(random.Random(seed))), None, 0
    for number in range(PATIENCE):
        place = steps.place(number, last, now)
        found = await steps.step(number, now, place)
        now, last, spent = found.prompt, place, spent + found.spent.tokens
        if SWITCH in now:
            break
    return spent, now, found


async def test_the_gradient_finds_it_for_a_fraction_of_what_chance_needs(planted_engine, planted_task):
    """One try a step out of 24 candidates: the steepest, or any. A search that is given up counts as if it had ended
    there, in favour of chance."""
    spent = {by: 0 for by in (By.GRADIENT, By.RANDOM)}
    for seed in SEEDS:
        for by in spent:
            tokens, now, found = await searched(planted_engine, planted_task, by, seed)
            spent[by] += tokens
            if by is By.GRADIENT:
                assert SWITCH in now
                assert found.accepted.source is Source.GRADIENT
    assert spent[By.GRADIENT] <= 0.3 * spent[By.RANDOM]


async def test_the_published_way_finds_it_too(planted_engine, planted_task):
    _, now, found = await searched(planted_engine, planted_task, By.GREATER, 0)
    assert SWITCH in now
    winner = next(tried for tried in found.tried if tried.prompt == now)
    assert winner.score == min(tried.score for tried in found.tried) < 0.2


async def test_a_phrase_that_shortens_is_taken_at_equal_accuracy(planted_engine, planted_task):
    """The bank's one phrase is the word that makes the model brief, if it stands at the end."""
    bank = Shorter(phrases=Phrases((BRIEF.strip(),)))
    race = Race(block=10, most=40)
    settings = dataclasses.replace(SETTINGS, by=By.RANDOM, temperature=0.3, race=race, shorter=bank)
    begun = "".join(prompt(random.Random(1), SWITCH, length=3))
    steps = steps_of(planted_engine, planted_task, planted_task.items(40, 0), settings, LossTerms(), 3)
    for number in range(12):
        found = await steps.step(number, begun, 0)
        assert found.prompt == begun or found.accepted.kind is Kind.INSERT
        if found.accepted:
            break
    taken = next(tried for tried in found.tried if tried.prompt == found.prompt)
    assert found.accepted.source is Source.PHRASE
    assert BRIEF in found.prompt
    assert taken.tokens < 0.7 * taken.against
    assert taken.standing.wins - taken.standing.losses >= -2


def test_the_model_is_taught_in_words_that_its_tokenizer_reads(knowing):
    dice = random.Random(3)
    for _ in range(20):
        words, learnt = example(dice)
        ids = knowing.tokenizer("".join(words), add_special_tokens=False).input_ids
        assert [VOCABULARY[id] for id in ids] == words
        assert len(learnt) == len(words)
        assert words[-2 if words[-1] == "</s>" else -1] != ASKED
