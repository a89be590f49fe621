"""Trainings of a tiny model, on one thread (more only wait for each other) and not compiled (that takes longer)."""

import pytest


@pytest.fixture
def uncompiled(monkeypatch):
    import torch

    from poise.models.llama import layer_forward

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    monkeypatch.setattr("poise.lab.train.compiled", lambda: layer_forward)
    monkeypatch.setattr("poise.lab.quiet_star.training.compiled", lambda: layer_forward)
    yield
    torch.set_num_threads(threads)
