"""Trainings of a tiny model: nothing is compiled, because that takes longer than they do."""

import pytest


@pytest.fixture
def uncompiled(monkeypatch):
    from poise.models.llama import layer_forward

    monkeypatch.setattr("poise.lab.train.compiled", lambda: layer_forward)
