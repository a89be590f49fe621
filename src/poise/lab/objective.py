"""The loss of next tokens, without ever holding all the logits: chunk by chunk, with the gradient found on the way."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

_ROWS = 512


class NextTokenLoss(torch.autograd.Function):
    """Mean cross-entropy of hidden states [n, width] against token ids [n], through a head [vocabulary, width] that is
    not trained. Memory: one chunk of logits. The gradient with respect to the hidden states is found in the forward
    pass, so the head's products run once."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, targets: Tensor, head: Tensor) -> Tensor:
        """Sum over chunks of rows."""
        n = hidden.shape[0]
        gradient = torch.empty_like(hidden) if hidden.requires_grad or ctx.needs_input_grad[0] else None
        total = torch.zeros((), dtype=torch.float32, device=hidden.device)
        for start in range(0, n, _ROWS):
            rows, wanted = hidden[start : start + _ROWS], targets[start : start + _ROWS]
            logs = torch.log_softmax((rows @ head.T).float(), -1)
            total -= logs.gather(1, wanted[:, None]).sum()
            if gradient is not None:
                shares = logs.exp_()
                shares[torch.arange(len(wanted), device=rows.device), wanted] -= 1
                gradient[start : start + _ROWS] = (shares.to(head.dtype) @ head) / n
        ctx.save_for_backward(gradient)
        return total / n

    @staticmethod
    def backward(ctx: Any, *outputs: Tensor) -> tuple[Tensor, None, None]:
        """The stored gradient, scaled."""
        (gradient,) = ctx.saved_tensors
        return gradient * outputs[0].to(gradient.dtype), None, None


def next_token_loss(hidden: Tensor, targets: Tensor, head: Tensor) -> Tensor:
    """Mean cross-entropy in nats per token. See NextTokenLoss."""
    loss: Tensor = NextTokenLoss.apply(hidden, targets, head)  # type: ignore[no-untyped-call]
    return loss
