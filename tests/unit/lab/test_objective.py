import pytest
import torch
from torch.nn.functional import cross_entropy

from poise.lab.objective import next_token_loss

WIDTH, WORDS = 16, 37


def parts(n, dtype=torch.float32):
    torch.manual_seed(n)
    hidden = torch.randn(n, WIDTH).to(dtype).requires_grad_()
    return hidden, torch.randint(WORDS, (n,)), torch.randn(WORDS, WIDTH).to(dtype)


@pytest.mark.parametrize("n", [1, 511, 512, 513, 1300])  # chunks of 512 rows
def test_loss_and_gradient_are_those_of_cross_entropy(n):
    hidden, targets, head = parts(n)
    loss = next_token_loss(hidden, targets, head)
    (3 * loss).backward()
    found, hidden.grad = hidden.grad, None
    plain = cross_entropy(hidden @ head.T, targets)
    (3 * plain).backward()
    torch.testing.assert_close(loss, plain, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(found, hidden.grad, rtol=1e-4, atol=1e-7)


def test_in_bfloat16_it_is_as_close_as_bfloat16_is():
    hidden, targets, head = parts(600, torch.bfloat16)
    next_token_loss(hidden, targets, head).backward()
    wide = hidden.detach().float().requires_grad_()
    plain = cross_entropy(wide @ head.float().T, targets)
    plain.backward()
    torch.testing.assert_close(next_token_loss(hidden, targets, head), plain, rtol=1e-2, atol=1e-2)
    assert hidden.grad.dtype == torch.bfloat16
    torch.testing.assert_close(hidden.grad.float(), wide.grad, rtol=5e-2, atol=2e-4)


def test_without_gradients_it_is_the_loss_alone():
    hidden, targets, head = parts(20)
    with torch.no_grad():
        loss = next_token_loss(hidden, targets, head)
    assert not loss.requires_grad
    torch.testing.assert_close(loss, cross_entropy(hidden @ head.T, targets), rtol=1e-5, atol=1e-6)
