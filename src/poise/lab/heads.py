"""Fitting heads: a small network or a logistic regression on read-outs, and their calibration."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from poise.lab.readout import Places
from poise.models.head import Array, Head, HeadCard

_DEEPEST = 8  # depths with a calibration of their own; a depth needs _ENOUGH places, else it shares the one before
_ENOUGH = 200


_PAIRS = 256  # pairs per step of the ranking loss


@dataclass(frozen=True, slots=True)
class Fit:
    """How a head is fitted. `hidden`: width of its middle layer, 0 for logistic regression; `ranking`: how much the
    order of right and wrong draws of one question counts beside the cross-entropy (Burges et al. 2005); `decay`: of the
    weights."""

    hidden: int = 0
    ranking: float = 0.0
    decay: float = 0.1


def fit(training: Places, validation: Places, card: HeadCard, how: Fit | None = None, seed: int = 0) -> Head:
    """A head that tells from each read-out whether its draw ends right: binary cross-entropy, every draw weighing the
    same however many lines it has. Early stop on the validation loss. Not calibrated yet. Raises nothing; a minute for
    50,000 places."""
    how = how or Fit()
    torch.manual_seed(seed)
    mean, scale = training.features.mean(0), training.features.std(0) + 1e-3
    width = training.features.shape[1]
    layers: list[nn.Module] = [nn.Linear(width, 1)]
    if hidden := how.hidden:
        layers = [nn.Dropout(0.3), nn.Linear(width, hidden), nn.GELU("tanh"), nn.Dropout(0.3), nn.Linear(hidden, 1)]
    network = nn.Sequential(*layers)
    optimiser = torch.optim.AdamW(network.parameters(), lr=1e-3 if hidden else 3e-3, weight_decay=how.decay)
    inputs, labels, weights = _tensors(training, mean, scale)
    held = _tensors(validation, mean, scale)
    pairs = _pairs(training) if how.ranking else None
    best, state, since = np.inf, network.state_dict(), 0
    for epoch in range(60):
        network.train()
        order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed * 1000 + epoch))
        for rows in order.split(512):  # type: ignore[no-untyped-call]
            loss = _loss(network(inputs[rows])[:, 0], labels[rows], weights[rows])
            if pairs is not None and len(pairs):
                right, wrong = pairs[torch.randint(len(pairs), (_PAIRS,))].T
                ahead = network(inputs[right])[:, 0] - network(inputs[wrong])[:, 0]
                loss = loss + how.ranking * nn.functional.softplus(-ahead).mean()
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
        network.eval()
        with torch.no_grad():
            told = float(_loss(network(held[0])[:, 0], held[1], held[2]))
        if told < best - 1e-4:
            best, since = told, 0
            state = {name: value.clone() for name, value in network.state_dict().items()}
        elif (since := since + 1) >= 6:
            break
    network.load_state_dict(state)
    linears = [module for module in network if isinstance(module, nn.Linear)]
    return Head(
        card,
        mean.astype(np.float32),
        scale.astype(np.float32),
        tuple(linear.weight.detach().numpy().T.copy() for linear in linears),
        tuple(linear.bias.detach().numpy().copy() for linear in linears),
    )


def _tensors(places: Places, mean: Array, scale: Array) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    lines = np.bincount(places.draws)[places.draws]
    inputs = torch.from_numpy(((places.features - mean) / scale).astype(np.float32))
    return inputs, torch.from_numpy(places.right.astype(np.float32)), torch.from_numpy((1 / lines).astype(np.float32))


def _pairs(places: Places) -> torch.Tensor:
    """Ends of a right and of a wrong draw of the same question, as row numbers [n, 2]."""
    ends = np.flatnonzero(places.last)
    found = []
    for question in np.unique(places.questions):
        here = ends[places.questions[ends] == question]
        right, wrong = here[places.right[here]], here[~places.right[here]]
        found.append(np.stack(np.meshgrid(right, wrong), -1).reshape(-1, 2))
    return torch.from_numpy(np.concatenate(found))


def _loss(logits: torch.Tensor, labels: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    losses = nn.functional.binary_cross_entropy_with_logits(logits, labels, reduction="none")
    return (losses * weights).sum() / weights.sum()


def calibrated(head: Head, places: Places) -> Head:
    """The head with an isotonic calibration per depth (Zadrozny and Elkan 2002), from places it was not fitted on."""
    from sklearn.isotonic import IsotonicRegression

    raw = head.raw(places.features)
    knots: list[Array] = []
    for depth in range(1, _DEEPEST + 1):
        chosen = places.depths == depth if depth < _DEEPEST else places.depths >= depth
        if chosen.sum() < _ENOUGH and knots:
            knots.append(knots[-1])
            continue
        if chosen.sum() < _ENOUGH:
            chosen = np.ones_like(chosen)
        fitted = IsotonicRegression(y_min=0.001, y_max=0.999, out_of_bounds="clip").fit(
            raw[chosen], places.right[chosen]
        )
        knots.append(np.stack([fitted.X_thresholds_, fitted.y_thresholds_]).astype(np.float32))
    return replace(head, knots=tuple(_rising(each) for each in knots))


def _rising(knots: Array) -> Array:
    """Plateaus tilted by a hair, so that two raw values never tie: ranks within a question must survive."""
    tilted = knots.copy()
    tilted[1] = knots[1] * 0.998 + 0.002 * (knots[0] - knots[0].min()) / max(float(np.ptp(knots[0])), 1e-6)
    return tilted


def split_questions(places: Places, shares: tuple[float, ...], seed: int = 0) -> list[NDArray[np.bool_]]:
    """Masks that part the places by question, in these shares."""
    questions = np.unique(places.questions)
    order = np.random.default_rng(seed).permutation(questions)
    bounds = np.cumsum([0.0, *shares]) / sum(shares) * len(order)
    return [np.isin(places.questions, order[int(low) : int(high)]) for low, high in itertools.pairwise(bounds)]
