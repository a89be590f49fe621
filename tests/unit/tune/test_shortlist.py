"""Which edits are tried, and what they make of a prompt."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from poise.errors import ConfigError
from poise.tune.shortlist import By, Edit, Kind, Source, free_edits, shortlist

CANDIDATES, SLOPES = (10, 11, 12, 13, 14, 15), (0.0, -1.0, 3.0, -5.0, 2.0, -2.0)


def chosen(by, size=4, seed=1):
    return shortlist(by, CANDIDATES, SLOPES, 2, size, random.Random(seed))


def test_the_gradient_takes_the_steepest():
    edits = chosen(By.GRADIENT, 3)
    assert [edit.token for edit in edits] == [13, 15, 11]
    assert [edit.slope for edit in edits] == [-5.0, -2.0, -1.0]
    assert {edit.source for edit in edits} == {Source.GRADIENT}


def test_mixed_is_half_and_half_and_says_which():
    edits = chosen(By.MIXED)
    assert [edit.token for edit in edits[:2]] == [13, 15]
    assert [edit.source for edit in edits] == [Source.GRADIENT] * 2 + [Source.RANDOM] * 2
    assert len({edit.token for edit in edits}) == 4


def test_controls_need_no_gradient():
    likely = shortlist(By.LIKELIHOOD, CANDIDATES, None, 2, 2, random.Random(1))
    assert [(edit.token, edit.source, edit.slope) for edit in likely] == [
        (11, Source.LIKELIHOOD, None),
        (12, Source.LIKELIHOOD, None),
    ]
    drawn = {
        edit.token for seed in range(30) for edit in shortlist(By.RANDOM, CANDIDATES, None, 2, 2, random.Random(seed))
    }
    assert drawn == set(CANDIDATES[1:])


@given(st.sampled_from(By), st.integers(1, 9), st.integers(0, 99))
def test_no_edit_twice_and_never_the_own_token(by, size, seed):
    tokens = [edit.token for edit in chosen(by, size, seed)]
    assert len(set(tokens)) == len(tokens) <= size
    assert CANDIDATES[0] not in tokens
    assert len(tokens) == min(size, len(CANDIDATES) - 1)


def test_what_edits_make_of_a_prompt():
    prompt = (1, 2, 3, 4)
    assert Edit(Kind.SWAP, 1, Source.RANDOM, 9).of(prompt) == (1, 9, 3, 4)
    assert Edit(Kind.DELETE, 1, Source.FREE).of(prompt) == (1, 3, 4)
    assert Edit(Kind.STOP, 1, Source.FREE).of(prompt) == (1,)


@given(st.lists(st.integers(2, 99), min_size=1, max_size=6), st.data())
def test_free_edits_shorten_and_leave_something(prompt, data):
    place = data.draw(st.integers(0, len(prompt) - 1))
    for edit in free_edits(prompt, place):
        assert 0 < len(edit.of(prompt)) < len(prompt)


def test_what_cannot_work_is_refused():
    with pytest.raises(ConfigError, match="shortlist"):
        chosen(By.RANDOM, 0)
    with pytest.raises(ConfigError, match="slopes"):
        shortlist(By.GRADIENT, CANDIDATES, None, 2, 2, random.Random(1))
    with pytest.raises(ConfigError, match="slopes"):
        shortlist(By.MIXED, CANDIDATES, SLOPES[:3], 2, 2, random.Random(1))
