"""Whom to judge in the end, by what the races saw."""

from hypothesis import given
from hypothesis import strategies as st

from poise.tune.chain import Link, most_accurate, on_the_front

link = st.builds(Link, st.sampled_from("abcdefgh"), st.floats(-0.2, 0.4), st.floats(0.3, 2.0))


def test_the_last_then_the_front_then_what_the_front_beats():
    links = [Link("long", 0.3, 2.0), Link("bad", -0.2, 1.1), Link("short", 0.05, 0.2), Link("last", -0.1, 1.5)]
    assert on_the_front("i", links, 9) == ["i", "last", "short", "long", "bad"]
    assert on_the_front("i", links, 2) == ["i", "last", "short"]


def test_a_prompt_met_again_is_judged_once_and_the_initial_one_always():
    links = [Link("a", 0.1, 1.0), Link("b", 0.1, 1.0), Link("a", 0.1, 0.5), Link("i", 0.1, 0.5)]
    assert on_the_front("i", links, 9) == ["i", "a", "b"]
    assert on_the_front("i", [], 9) == ["i"]


def test_the_most_accurate_by_all_races_and_of_equals_the_later():
    """A way that moves even where that is worse does not end with its best."""
    links = [Link("a", 0.1, 1.0), Link("b", 0.2, 1.0), Link("c", -0.3, 1.0), Link("d", 0.1, 1.0), Link("e", 0.0, 1.0)]
    assert most_accurate("i", links, 9) == ["i", "b", "e", "d", "a", "c"]
    assert most_accurate("i", links, 2) == ["i", "b", "e"]
    rising = [Link(name, 0.1, 1.0) for name in "abcdefgh"]
    assert most_accurate("i", rising, 5) == ["i", *"hgfed"]
    assert most_accurate("i", [*rising, Link("a", 0.1, 1.0), Link("i", 0.1, 1.0)], 2) == ["i", "a", "h"]
    assert most_accurate("i", [], 3) == ["i"]


@given(st.lists(link, max_size=12), st.integers(1, 6))
def test_never_more_than_asked_for_and_the_last_among_them(links, most):
    found = on_the_front("i", links, most)
    assert found[0] == "i"
    assert len(found) == len(set(found)) == 1 + min(most, len({link.prompt for link in links}))
    assert not links or found[1] == links[-1].prompt
