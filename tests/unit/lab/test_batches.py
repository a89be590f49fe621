import dataclasses
import itertools

import pytest
import tiny
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from poise.core import Message, Role
from poise.errors import ConfigError
from poise.lab.batches import Encoded, batches, block_mask, encoded, packed, packed_lines, prompt_ids
from poise.lab.data import Example

LENGTH = 24


@st.composite
def examples(draw):
    sizes = draw(st.lists(st.tuples(st.integers(1, 8), st.integers(1, 16)), min_size=1, max_size=40))
    # The first token says which example it is.
    return [Encoded((number, *range(head + tail - 1)), head) for number, (head, tail) in enumerate(sizes, 100)]


def flat(lines):
    return [row for line in lines for row in line]


@settings(deadline=None)
@given(examples())
def test_lines_hold_every_example_once_and_are_never_too_long(rows):
    lines = packed_lines(rows, LENGTH)
    assert sorted(row.tokens[0] for row in flat(lines)) == [row.tokens[0] for row in rows]
    assert all(sum(len(row.tokens) for row in line) <= LENGTH for line in lines)


@settings(deadline=None)
@given(examples(), st.integers(1, 5), st.integers(0, 9))
def test_every_example_comes_once_a_pass(rows, size, seed):
    taken = []
    for batch in batches(rows, size * LENGTH, LENGTH, seed):
        assert len(batch) == size
        taken += [row.tokens[0] for row in flat(batch)]
        if len(taken) >= 3 * len(rows):
            break
    passes = [taken[first : first + len(rows)] for first in range(0, 3 * len(rows), len(rows))]
    assert [sorted(one) for one in passes] == [[row.tokens[0] for row in rows]] * 3


def test_the_order_is_the_seeds_and_new_in_every_pass():
    rows = [Encoded((number, 1, 2), 1) for number in range(30)]

    def taken(seed, count):
        return [row.tokens[0] for batch in itertools.islice(batches(rows, 6, 3, seed), count) for row in flat(batch)]

    assert taken(1, 30) == taken(1, 30)
    assert taken(1, 15) != taken(2, 15)
    first, second = taken(1, 30)[:30], taken(1, 30)[30:]
    assert sorted(first) == sorted(second) == list(range(30))
    assert first != second


def test_fewer_examples_than_a_batch_are_repeated():
    rows = [Encoded((1, 2), 1)]
    assert next(batches(rows, 40, 4, 0)) == [rows] * 10
    with pytest.raises(ConfigError, match="at least one example"):
        next(batches([], 40, 4, 0))


@settings(deadline=None)
@given(examples())
def test_targets_are_the_answers_and_places_are_just_before_them(rows):
    lines = packed_lines(rows, LENGTH)
    batch = packed(lines, LENGTH)
    tokens = batch.tokens.flatten()
    assert batch.filled == sum(len(row.tokens) for row in rows)
    assert batch.targets.tolist() == [token for row in flat(lines) for token in row.tokens[row.start :]]
    assert torch.equal(tokens[batch.places + 1], batch.targets)
    segments = batch.segments.flatten()
    assert torch.equal(segments[batch.places], segments[batch.places + 1])
    # Positions count from each example's own start, and its tokens are whole.
    for number, line in enumerate(lines):
        for segment, row in enumerate(line):
            here = batch.segments[number] == segment
            assert batch.tokens[number][here].tolist() == list(row.tokens)
            assert batch.positions[number][here].tolist() == list(range(len(row.tokens)))


def test_attention_sees_its_own_example_up_to_here_alone():
    mask = block_mask(torch.tensor([[0, 0, 1, 1, 1, -1]]))
    assert mask.shape == (1, 1, 6, 6)
    seen = (mask[0, 0] == 0).int().tolist()
    assert seen[:5] == [
        [1, 0, 0, 0, 0, 0],
        [1, 1, 0, 0, 0, 0],
        [0, 0, 1, 0, 0, 0],
        [0, 0, 1, 1, 0, 0],
        [0, 0, 1, 1, 1, 0],
    ]
    assert not torch.isneginf(mask).all(-1).any()  # a row that sees nothing would be no number


def example(question, answer):
    return Example((Message(Role.USER, question),), answer, question, "c", "t")


def test_examples_are_wrapped_by_the_chat_template_and_closed():
    words = tiny.tokenizer()
    (row,) = encoded([example("2 + 2?", "4")], words, 100)
    assert words.decode(row.tokens) == "<|start|>user\n2 + 2?<|end|>\n<|start|>assistant\n4<|end|>"
    assert words.decode(row.tokens[row.start :]) == "4<|end|>"
    assert list(row.tokens[: row.start]) == prompt_ids(words, example("2 + 2?", "4").prompt)


def test_examples_that_are_too_long_are_left_out():
    words = tiny.tokenizer()
    pair = [example("2 + 2?", "4"), example("2 + 2?" * 20, "4")]
    assert len(encoded(pair, words, 60)) == 1
    assert encoded([], words, 60) == []
    with pytest.raises(ConfigError, match="longest"):
        encoded(pair, words, 10)


def test_a_tokenizer_without_a_chat_template_is_refused():
    words = tiny.tokenizer()
    words.chat_template = None
    with pytest.raises(ConfigError, match="chat template"):
        encoded([example("2 + 2?", "4")], words, 60)


def test_a_thought_that_is_known_ends_as_a_turn_does():
    words = tiny.tokenizer()
    known = dataclasses.replace(example("1 + 2?", "3"), thought="1 + 2 = 3")
    [row] = encoded([known], words, 99)
    assert words.decode(row.thought) == "1 + 2 = 3<|end|>"
    assert encoded([example("1 + 2?", "3")], words, 99)[0].thought == ()
