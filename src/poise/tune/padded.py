"""Texts side by side in one batch. Needs PyTorch."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def padded(texts: Sequence[Sequence[int]], device: torch.device) -> tuple[Tensor, Tensor]:
    """Token ids of texts, filled up on the right, and 1 where a text has a token: both [texts, the longest]."""
    longest = max(map(len, texts))
    ids = torch.tensor([[*text, *[0] * (longest - len(text))] for text in texts], device=device)
    there = torch.tensor([[1] * len(text) + [0] * (longest - len(text)) for text in texts], device=device)
    return ids, there
