"""Scorers by their names, and by specs with knobs."""

import pytest

from poise import registry
from poise.config import strategy_of
from poise.errors import ConfigError, UnknownName
from poise.scorers import Scorers, scorer_of
from poise.scoring.prm import Over


def test_every_name_is_there_and_made_once():
    scorers = Scorers()
    assert list(scorers) == registry.names("scorers")
    assert len(scorers) == len(list(scorers))
    assert scorers["surprisal"] is scorers["surprisal"]
    assert {scorer.name for scorer in scorers.values()} >= {"prm", "quiet_star", "verifier", "surprisal"}


def test_knobs_are_read_as_their_types():
    made = scorer_of("prm(model=org/prm,mark=%,over=least)")
    assert (made._model, made._marks[0], made._over) == ("org/prm", "%", Over.LEAST)
    assert scorer_of("mean_logprob:window=2").window == 2
    scorers = Scorers()
    assert "verifier(folder=runs/head)" in scorers
    assert "nothing(folder=x)" not in scorers
    assert scorers["verifier(folder=runs/head)"] is not scorers["verifier"]


@pytest.mark.parametrize(
    ("spec", "error", "hint"),
    [
        ("verifer", UnknownName, "did you mean 'verifier'"),
        ("verifier(foldr=x)", UnknownName, "did you mean 'folder'"),
        ("verifier(folder)", ConfigError, "knob=value"),
        ("verifier(folder=nosuch", ConfigError, "scorer: got 'verifier(folder=nosuch'; allowed: a ) for every ("),
        ("prm(over=most)", UnknownName, "least"),
        ("mean_logprob(window=many)", ConfigError, "a whole number"),
    ],
)
def test_what_cannot_work_is_refused(spec, error, hint):
    with pytest.raises(error) as caught:
        Scorers()[spec]
    assert hint in str(caught.value)


def test_a_strategy_takes_a_scorer_with_knobs():
    strategy, scorer = strategy_of("best_of_n:n=4,scorer=prm(model=org/prm,over=least)")
    assert (strategy.n, scorer) == (4, "prm(model=org/prm,over=least)")
