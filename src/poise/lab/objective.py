"""The loss of tokens, without ever holding all the logits: chunk by chunk, with the gradient found on the way."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

_ROWS = 512


class _Stored(torch.autograd.Function):
    """A loss a row whose gradient with respect to the hidden states was found in the forward pass."""

    @staticmethod
    def backward(ctx: Any, *outputs: Tensor) -> tuple[Tensor, None, None]:
        """The stored gradient, scaled row by row."""
        (gradient,) = ctx.saved_tensors
        return gradient * outputs[0][:, None].to(gradient.dtype), None, None


class TokenLosses(_Stored):
    """Cross-entropy of hidden states [n, width] against token ids [n], one each, by a head [vocabulary, width] that is
    not trained. Memory: one chunk of logits. The gradient with respect to the hidden states is found in the forward
    pass, so the head's products run once."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, targets: Tensor, head: Tensor) -> Tensor:
        """Losses [n] in float32, by chunks of rows."""
        gradient = torch.empty_like(hidden) if ctx.needs_input_grad[0] else None
        found = torch.empty(len(hidden), dtype=torch.float32, device=hidden.device)
        for start in range(0, len(hidden), _ROWS):
            rows, wanted = hidden[start : start + _ROWS], targets[start : start + _ROWS]
            logs = torch.log_softmax((rows @ head.T).float(), -1)
            found[start : start + _ROWS] = -logs.gather(1, wanted[:, None])[:, 0]
            if gradient is not None:
                shares = logs.exp_()
                shares[torch.arange(len(wanted), device=rows.device), wanted] -= 1
                gradient[start : start + _ROWS] = shares.to(head.dtype) @ head
        ctx.save_for_backward(gradient)
        return found


def token_losses(hidden: Tensor, targets: Tensor, head: Tensor) -> Tensor:
    """Cross-entropy of each token, [n] in nats. See TokenLosses."""
    losses: Tensor = TokenLosses.apply(hidden, targets, head)  # type: ignore[no-untyped-call]
    return losses


class SoftLosses(_Stored):
    """Cross-entropy of hidden states [n, width] against what the head makes of a teacher's states [n, width], one each.
    Memory and cost: twice those of TokenLosses."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, teacher: Tensor, head: Tensor) -> Tensor:
        """Losses [n] in float32, by chunks of rows."""
        gradient = torch.empty_like(hidden)
        found = torch.empty(len(hidden), dtype=torch.float32, device=hidden.device)
        for start in range(0, len(hidden), _ROWS):
            rows = slice(start, start + _ROWS)
            logs = torch.log_softmax((hidden[rows] @ head.T).float(), -1)
            wanted = torch.softmax((teacher[rows] @ head.T).float(), -1)
            found[rows] = -(wanted * logs).sum(-1)
            gradient[rows] = (logs.exp_() - wanted).to(head.dtype) @ head
        ctx.save_for_backward(gradient)
        return found


def soft_losses(hidden: Tensor, teacher: Tensor, head: Tensor) -> Tensor:
    """Cross-entropy against a teacher's distribution at each place, [n] in nats. See SoftLosses."""
    losses: Tensor = SoftLosses.apply(hidden, teacher.detach(), head)  # type: ignore[no-untyped-call]
    return losses


def next_token_loss(hidden: Tensor, targets: Tensor, head: Tensor) -> Tensor:
    """Mean cross-entropy in nats per token."""
    return token_losses(hidden, targets, head).mean()
