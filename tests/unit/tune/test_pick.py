"""Which prompt is written out."""

import pytest

from poise.errors import ConfigError
from poise.tune.archive import Archive, Measured
from poise.tune.pick import Pick, Wish


def measured(name, right, tokens, seconds):
    return Measured(name, tuple(row < right for row in range(200)), (tokens,) * 200, (seconds,) * 200)


def archive(found):
    made = Archive()
    for one in found:
        made.add(one)
    return made


FOUND = [
    measured("plain", 150, 100, 3.0),
    measured("long", 170, 300, 9.0),
    measured("short", 168, 60, 2.0),
    measured("tiny", 60, 10, 0.5),
]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("best", "plain"),
        ("knee", "short"),
        ("max_drop=.05", "short"),
        (" max_drop = 0.9", "tiny"),
        ("latency=2.5", "short"),
        ("latency=1", "tiny"),
        ("latency=99", "long"),
    ],
)
def test_each_wish_gets_its_prompt(text, name):
    assert Pick.read(text).of(archive(FOUND), FOUND[0]).name == name


def test_what_is_shown_to_be_best_is_told_by_the_run():
    assert Pick().of(archive(FOUND), FOUND[1]).name == "long"
    assert Pick.read("max_drop=.03") == Pick(Wish.MAX_DROP, 0.03)


def test_what_no_prompt_is_and_what_the_rows_cannot_show_is_said():
    with pytest.raises(ConfigError, match=r"0\.5 seconds or more"):
        Pick.read("latency=.2").of(archive(FOUND), FOUND[0])
    few = [Measured(f"{n}", (True,) * n + (False,) * (9 - n), (n,) * 9, (1.0,) * 9) for n in (4, 6)]
    with pytest.raises(ConfigError, match=r"9 rows can show"):
        Pick.read("max_drop=.01").of(archive(few), few[0])


@pytest.mark.parametrize(
    "text", ["", "shortest", "knee=1", "max_drop", "max_drop=", "max_drop=x", "max_drop=3", "latency=0", "latency=nan"]
)
def test_what_cannot_be_wished_is_refused(text):
    with pytest.raises(ConfigError, match="pick"):
        Pick.read(text)


def test_one_rule_at_a_time_in_words_or_in_numbers():
    assert Pick.one("", 2.0, None) == Pick.read("latency=2")
    assert Pick.one("", None, 0.03) == Pick.read("max_drop=.03") == Pick.one("max_drop=.03", None, None)
    for wrong in (("", None, None), ("knee", 2.0, None), ("", 2.0, 0.1)):
        with pytest.raises(ConfigError, match=r"one of latency=.*max_drop=SHARE"):
            Pick.one(*wrong)
    with pytest.raises(ConfigError, match="latency above 0"):
        Pick.one("", 0.0, None)
