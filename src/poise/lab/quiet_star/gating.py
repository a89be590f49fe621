"""Measuring when a model is unsure, so that a share of places becomes a threshold (`models.quiet_star.gates`)."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from poise.lab.batches import Encoded
from poise.models.decode import causal_mask
from poise.models.quiet_star.gates import Gate, Unsure, gate_of, unsure
from poise.models.quiet_star.model import QuietStar

_ROWS = 64


@torch.no_grad()
def measured_gate(model: QuietStar, rows: Sequence[Encoded], kind: Unsure = Unsure.ENTROPY) -> Gate | None:
    """The gate of a model by its doubt before every answer token of the first rows, without thoughts; None without
    rows. Cost: one pass over each of at most 64."""
    doubts: list[float] = []
    for row in rows[:_ROWS]:
        ids = torch.tensor([row.tokens], device=model.start.device)
        x = model.embedded(ids)
        places = torch.arange(ids.shape[1], device=x.device)
        states = model.whole(x, causal_mask(places, len(places), x.dtype)[None, None], places[None])
        doubts += unsure(kind, model.logits(states[0, row.start - 1 : -1])).tolist()
    return gate_of(kind, doubts) if doubts else None
