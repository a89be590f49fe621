"""Heads with random weights over a tiny random policy, where the shipped ones would be."""

import numpy as np
import pytest
from tiny_lm import dense

from poise.models.head import Head, HeadCard, save_head


@pytest.fixture
def heads(tmp_path, monkeypatch):
    """The folder of the heads `verifier` and `probe`."""
    random = np.random.default_rng(1)
    for kind, layers in (("verifier", (1, 2)), ("probe", (1,))):
        card = HeadCard(kind, "default", layers, surprise=kind == "verifier")
        width = card.features(32)
        head = Head(
            card,
            np.zeros(width, np.float32),
            np.ones(width, np.float32),
            (random.normal(scale=0.02, size=(width, 1)).astype(np.float32),),
            (np.zeros(1, np.float32),),
        )
        save_head(head, tmp_path / kind)
    monkeypatch.setattr("poise.models.reader.load_dense", lambda name: dense())
    monkeypatch.setattr("poise.scoring.verifier.HEADS", tmp_path)
    return tmp_path
