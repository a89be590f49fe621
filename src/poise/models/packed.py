"""Weights laid out once for the many small products of decoding on a CPU in bfloat16.

A product of 64 rows with a matrix of a small model takes as long as reading the matrix; in the order in which the
processor's tiles use it, that takes two thirds of the time. The products are those that PyTorch's own compiler uses for
frozen models (oneDNN's inner product with what follows it)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

MOST_BYTES = 1 << 30  # the layout is a second copy of the weights
_ROWS = 64  # the layout is chosen for products of about this many rows


def worth_it(weights: Sequence[Tensor]) -> bool:
    """Whether these matrices of a model should be laid out: not on a GPU, in another type, without oneDNN, or where
    the copy would take more than `MOST_BYTES`."""
    if not all(weight.device.type == "cpu" and weight.dtype == torch.bfloat16 for weight in weights):
        return False
    if sum(2 * weight.numel() for weight in weights) > MOST_BYTES:
        return False
    there = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    return bool(there) and hasattr(_ops(), "_reorder_linear_weight")


def laid_out(weight: Tensor) -> Tensor:
    """A matrix [out, in] as the products below want it. Raises RuntimeError on a processor that cannot."""
    laid: Tensor = _ops()._reorder_linear_weight(weight.detach().contiguous(), _ROWS)
    return laid


def product(x: Tensor, weight: Tensor) -> Tensor:
    """x [..., in] times a matrix, laid out or not."""
    if not weight.is_mkldnn:
        return functional.linear(x, weight)
    y: Tensor = _ops()._linear_pointwise(x, weight, None, "none", [], "")
    return y


def added(x: Tensor, y: Tensor, weight: Tensor) -> Tensor:
    """x plus y times a matrix that is laid out."""
    found: Tensor = _ops()._linear_pointwise.binary(y, x, weight, None, "add")
    return found


def gated(x: Tensor, gate: Tensor, up: Tensor) -> Tensor:
    """The gated half of a feed-forward part, silu(x gate) * (x up), over matrices that are laid out."""
    opened = _ops()._linear_pointwise(x, gate, None, "swish", [], "")
    found: Tensor = _ops()._linear_pointwise.binary(x, opened, up, None, "mul")
    return found


def _ops() -> Any:
    return torch.ops.mkldnn
