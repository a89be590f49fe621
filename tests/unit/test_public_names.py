"""`import poise` shows what `__all__` says, and nothing else."""

import inspect

import poise


def test_all_is_sorted_and_short():
    assert poise.__all__ == sorted(poise.__all__)
    assert len(set(poise.__all__)) == len(poise.__all__) <= 20


def test_all_is_what_is_visible():
    assert [name for name in dir(poise) if not name.startswith("_")] == poise.__all__


def test_every_public_name_exists_and_is_documented():
    undocumented = []
    for name in poise.__all__:
        thing = getattr(poise, name)
        if (inspect.isclass(thing) or inspect.isroutine(thing)) and not thing.__doc__:
            undocumented.append(name)
    assert undocumented == []


def test_dataclasses_have_docstrings_of_their_own():
    generated = [name for name in poise.__all__ if (getattr(poise, name).__doc__ or "").startswith(f"{name}(")]
    assert generated == []
