"""What becomes of the tokens of a prompt, edit by edit."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tune_runs import INITIAL, FakeTuning

from poise.report.tuning.lineage import lineage, words
from poise.report.tuning.read import Step, Tried, Tuning, read_tuning
from poise.report.tuning.told import change, chip, edit, token
from poise.tune.budget import Spent
from poise.tune.race import Standing
from poise.tune.shortlist import Kind, Source


def step(number, before, after, place=None, kind=Kind.SWAP, slope=None, cut=True):
    """One step at a place of the tokens `before`; `after`: the text that won."""
    text = "".join(before)
    tried = (Tried(after, kind, Source.GRADIENT, slope, Standing(3, 0, 10)),)
    return Step(number, text, after, place, tuple(before) if cut else (), tried, 4, 10, 0, Spent())


def tuning(*steps):
    return Tuning(None, steps[0].before, steps, (), None, {}, {})


def texts(pieces):
    return [piece.text for piece in pieces]


def test_a_swap_takes_out_one_token_and_puts_in_one():
    versions, last = lineage(tuning(step(0, INITIAL, "Let's reason step by step.", 2, slope=-1.5)))
    assert [texts(part) for part in (versions[1].removed, versions[1].added)] == [[" think"], [" reason"]]
    assert texts(last) == ["Let", "'s", " reason", " step", " by", " step", "."]
    assert [(piece.born, piece.changes) for piece in last[1:4]] == [(None, 0), (0, 1), (None, 0)]
    assert (last[2].visits, last[2].pull) == (1, -1.5)


def test_a_token_that_begins_like_the_old_one_is_still_a_whole_token():
    versions, last = lineage(tuning(step(0, ("Do", " the", "."), "Do them.", 1)))
    assert [texts(part) for part in (versions[1].removed, versions[1].added)] == [[" the"], [" them"]]
    assert texts(last) == ["Do", " them", "."]


def test_a_deletion_and_a_stop_only_take_out():
    first = step(0, ("Go", " on", " and", " on"), "Go and on", 1, Kind.DELETE)
    second = step(1, ("Go", " and", " on"), "Go", 1, Kind.STOP)
    versions, last = lineage(tuning(first, second))
    assert [texts(each.removed) for each in versions] == [[], [" on"], [" and", " on"]]
    assert [texts(each.added) for each in versions] == [[], [], []]
    assert texts(last) == ["Go"]


def test_a_place_that_changes_again_counts_on():
    first = step(0, ("a", " b"), "a c", 1)
    kept = step(1, ("a", " c"), "a c", 0)
    _, last = lineage(tuning(first, kept, step(2, ("a", " c"), "a d", 1)))
    assert [(piece.text, piece.born, piece.changes, piece.visits) for piece in last] == [
        ("a", None, 0, 1), (" d", 2, 2, 2),
    ]  # fmt: skip


def test_without_tokens_there_are_words():
    versions, last = lineage(tuning(step(0, INITIAL, "Let's think step by line.", cut=False)))
    assert versions[0].text == "Let's think step by step."
    assert [texts(part) for part in (versions[1].removed, versions[1].added)] == [[" step"], [" line"]]
    assert last[0].visits == 0


def test_another_cut_of_the_same_prompt_keeps_what_became_of_it():
    first = step(0, ("ab", " c"), "ab d", 1)
    _, last = lineage(tuning(first, step(1, ("a", "b", " d"), "ab d", 0)))
    assert [(piece.text, piece.born) for piece in last] == [("a", None), ("b", None), (" d", 0)]


@given(st.text(max_size=40))
def test_words_are_the_text(text):
    assert "".join(words(text)) == text


@given(st.lists(st.text("ab c15", min_size=1, max_size=4), min_size=1, max_size=4))
def test_any_prompts_are_a_lineage(prompts):
    """Whatever follows whatever, every version is its prompt."""
    steps = [step(n, words(old), new) for n, (old, new) in enumerate(zip(["start", *prompts], prompts, strict=False))]
    versions, last = lineage(tuning(*steps))
    changed = [each for each in steps if each.prompt != each.before]
    assert [version.text for version in versions] == ["start", *(each.prompt for each in changed)]
    assert "".join(texts(last)) == prompts[-1]


def test_every_version_of_a_run_is_its_prompt(tmp_path):
    reading = read_tuning(FakeTuning(30, 20).write(tmp_path / "run"))
    versions, last = lineage(reading)
    assert [version.text for version in versions[1:]] == [each.prompt for each in reading.accepted]
    assert all(len(version.added) <= 1 for version in versions)
    assert sum(piece.visits for piece in last) > 0


def test_edits_in_words():
    found = step(0, INITIAL, "Let's reason step by step.", 2)
    (swap,) = found.tried
    assert (token(found), change(found, swap)) == ("“think”", ([" think"], " reason"))
    assert (edit(found, swap), chip(found, swap)) == ("“think” → “reason”", "reason")
    left = dataclasses.replace(swap, prompt="Let's step by step.", kind=Kind.DELETE)
    assert (edit(found, left), chip(found, left)) == ("“think” left out", "∅")
    stop = dataclasses.replace(swap, prompt="Let's", kind=Kind.STOP)
    assert (edit(found, stop), chip(found, stop)) == ("“think step by step.” left out", "∅ …")
    unknown = dataclasses.replace(found, place=None, tokens=())
    assert (token(unknown), edit(unknown, swap)) == (None, "“think” → “reason”")


def test_a_rewrite_stands_at_no_place():
    found = step(0, INITIAL, "Now let us think step by step. Be short.", None, Kind.REWRITE, cut=False)
    (tried,) = found.tried
    assert change(found, tried) == (words("Let's think step by step"), "Now let us think step by step. Be short")
    versions, last = lineage(tuning(found))
    assert versions[1].text == "".join(texts(last)) == tried.prompt


def test_an_edit_elsewhere_than_at_the_place_is_found_where_it_is():
    found = step(0, ("Go", " on", " then", "."), "Go on then, please.", 0, Kind.REWRITE)
    assert change(found, found.tried[0]) == ([], ", please")
    assert edit(found, found.tried[0]) == "“, please” put in"
    assert texts(lineage(tuning(found))[1]) == ["Go", " on", " then", ",", " please", "."]


@pytest.mark.parametrize("place", [-1, 99])
def test_a_place_that_is_not_there_changes_nothing(place):
    found = step(0, INITIAL, "Let's reason step by step.", place)
    assert token(found) is None
    assert texts(lineage(tuning(found))[1])[2] == " reason"


@pytest.mark.parametrize(
    ("tokens", "after"),
    [
        (("Use", " ", "5", "0", " words"), "Use 100 words"),
        (("Use", " 5", "0", " words"), "Use 25 words"),
        (("Use", " ", "50", " words"), "Use 5 words"),
    ],
)
def test_a_number_changes_as_a_whole(tokens, after):
    found = step(0, tokens, after, 0, Kind.NUMBER)
    (tried,) = found.tried
    number = after.split()[1]
    assert (edit(found, tried), chip(found, tried)) == (f"“50” → “{number}”", f"50 → {number}")
    versions, last = lineage(tuning(found))
    assert "".join(texts(versions[1].removed)).strip() == "50"
    assert "".join(texts(last)) == after


def test_edits_of_the_text_in_words():
    found = step(0, ("Go", " on", ".", " Now", "."), "Go on.", 1, Kind.CUT)
    (cut,) = found.tried
    assert (edit(found, cut), chip(found, cut)) == ("“Now.” left out", "∅ Now.")
    put = dataclasses.replace(cut, prompt="Be brief. Go on. Now.", kind=Kind.INSERT)
    assert (edit(found, put), chip(found, put)) == ("“Be brief.” put in", "+ Be brief.")


def test_a_token_behind_the_last_grows_the_prompt():
    found = step(0, ("Go", " on"), "Go on then", 2, Kind.GROW)
    (tried,) = found.tried
    assert (token(found), edit(found, tried), chip(found, tried)) == ("the end", "“then” put in", "+ then")
    versions, last = lineage(tuning(found))
    assert (texts(versions[1].removed), texts(versions[1].added)) == ([], [" then"])
    assert texts(last) == ["Go", " on", " then"]


def test_a_prompt_that_was_tried_again_is_no_edit():
    found = step(0, ("Go", " on"), "Go on", 1)
    (same,) = found.tried
    assert (edit(found, same), chip(found, same)) == ("as it was", "=")
    assert (found.accepted, found.edits) == (None, ())
