"""The loss of Quiet-STaR (section 4.4 of the paper): next tokens with and without thoughts, REINFORCE on thoughts."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from poise.errors import ConfigError
from poise.lab.objective import soft_losses, token_losses
from poise.lab.quiet_star.settings import LossWeights
from poise.models.llama import LayerForward
from poise.models.quiet_star.model import QuietStar
from poise.models.quiet_star.thoughts import Thoughts, parallel, retold


@dataclass(frozen=True, slots=True)
class Texts:
    """`ids` [batch, length]; which of them are to be predicted well, `counted` [batch, length]; where texts think, `at`
    [batch, places] (`thinking_places`). `taught` [batch, n], or None: thoughts that are known to help, the same at
    every place of a text; negative where a text has none."""

    ids: Tensor
    counted: Tensor
    at: Tensor
    taught: Tensor | None = None

    def repeated(self, passes: int) -> Texts:
        """Each text so often, side by side; only the first of them is taught."""
        ids, counted, at = (part.repeat_interleave(passes, 0) for part in (self.ids, self.counted, self.at))
        if self.taught is None:
            return Texts(ids, counted, at)
        wide = self.taught.new_full((len(ids), self.taught.shape[1]), -1)
        wide[::passes] = self.taught
        return Texts(ids, counted, at, wide)

    def told(self, thoughts: Tensor) -> Tensor:
        """Thoughts [batch, places, n], those of texts that are taught replaced."""
        if self.taught is None:
            return thoughts
        known = self.taught[:, None].expand_as(thoughts)
        return torch.where(known < 0, thoughts, known)


@dataclass(frozen=True, slots=True)
class Losses:
    """`total`: what is minimised. `base` and `mixed`: nats per token; `first`: of the mixed ones those of the very next
    token. `reward`: mean over places of what a thought saves over the talk, in nats; `helped`: the share of places
    where it saves anything; `weight`: mean mixing weight. All but `total` carry no gradient."""

    total: Tensor
    base: float
    mixed: float
    first: float
    reward: float
    helped: float
    weight: float


def quiet_star_loss(
    model: QuietStar,
    texts: Texts,
    numbers: Tensor,
    weights: LossWeights,
    filler: int | None = None,
    forward: LayerForward | None = None,
) -> Losses:
    """`numbers` [n_passes * batch, places, n]: by which thoughts are sampled, the passes of one text side by side. With
    `filler` (see `parallel`) nothing is sampled, and so nothing reinforced or taught. `forward`: see `retold`.

    The reward of a thought at place j is the sum over its talk of NLL without minus NLL with it; its advantage is what
    that is above the mean of the passes, and nothing where it is below. Raises ConfigError where nothing is counted.
    Cost: n_passes * batch texts, each its length and columns x places, once to sample and once forward and backward."""
    passes = model.config.n_passes
    texts = texts.repeated(passes)
    ids, counted, at = texts.ids, texts.counted, texts.at
    if not bool(counted[:, 1:].any()):
        raise ConfigError("counted", 0, "at least one token after the first of a text")
    with torch.no_grad():
        thoughts = parallel(model, ids, numbers, filler=filler, at=at).tokens
        thoughts = thoughts if filler is not None else texts.told(thoughts)
    found = retold(model, ids, thoughts, forward, at)
    talked = _valid(counted, at, model.config.n_ahead_talk)
    head = model.model.get_output_embeddings().weight
    base = _spread(found.base[:, :-1], ids[:, 1:], counted[:, 1:], head)
    targets = _behind(ids[:, 1:], at, talked.shape[-1])
    mixed = _spread(found.mixed, targets, talked, head)
    saved = (_behind(base.detach(), at, mixed.shape[-1]) - mixed).detach() * talked
    reward = saved.sum(-1)
    some = talked.any(-1)
    total = weights.base_loss_beta * base.sum() / counted[:, 1:].sum()
    total = total + weights.mixed_loss_beta * mixed.sum() / talked.sum()
    if filler is None and found.tokens.shape[-1] and weights.policy_loss_beta:
        total = total + weights.policy_loss_beta * _policy(found, advantages(reward, passes), some, head, weights)
    if weights.distil_loss_beta:
        where = talked[..., 0]
        plain = _behind(found.base, at, 1)[:, :, 0]
        taught = soft_losses(plain[where].to(head.dtype), found.mixed[where][:, 0].to(head.dtype), head)
        total = total + weights.distil_loss_beta * taught.mean()
    if weights.thought_loss_beta:
        alone = token_losses(found.alone[talked].to(head.dtype), targets[talked], head)
        total = total + weights.thought_loss_beta * alone.mean()
    if weights.worked_loss_beta and texts.taught is not None and filler is None:
        total = total + weights.worked_loss_beta * _imitation(found, some & (texts.taught[:, :1] >= 0), head)
    return Losses(
        total,
        float(base.detach().sum() / counted[:, 1:].sum()),
        float(mixed.detach().sum() / talked.sum()),
        float(mixed.detach()[..., 0].sum() / talked[..., 0].sum()),
        float(reward.sum() / some.sum()),
        float((reward > 0).sum() / some.sum()),
        float((found.weights.detach() * talked).sum() / talked.sum()),
    )


def thinking_places(counted: Tensor, talk: int, most: int, dice: torch.Generator) -> Tensor:
    """Places [batch, most, or the length if `most` is 0] of texts that are worth a thought: those with a token to
    predict among the `talk` behind them, in order; any of them where there are more than `most`. Where there are fewer,
    others fill up the row, which have nothing to say: nothing counts behind them."""
    every = torch.arange(counted.shape[1], device=counted.device).expand(len(counted), -1)
    if not most or most >= counted.shape[1]:
        return every
    worth = _valid(counted, every, talk).any(-1)
    order = torch.rand(counted.shape, generator=dice).to(counted.device) + 2 * worth
    return order.topk(most).indices.sort(-1).values


def advantages(reward: Tensor, passes: int) -> Tensor:
    """Rewards [passes * batch, length], passes of one text side by side, above the mean of their passes; 0 below it."""
    grouped = reward.view(-1, passes, reward.shape[-1])
    return (grouped - grouped.mean(1, keepdim=True)).clamp(min=0).view_as(reward)


def _valid(counted: Tensor, at: Tensor, talk: int) -> Tensor:
    """[batch, places, talk]: whether the token 1 + i behind a place is there and counts."""
    return _behind(counted[:, 1:], at, talk)


def _behind(values: Tensor, at: Tensor, talk: int) -> Tensor:
    """Of each place what `values` [batch, length, ...] hold at it and behind it, [batch, places, talk, ...]; 0 beyond
    the end."""
    wide = torch.cat((values, values.new_zeros(len(values), 1, *values.shape[2:])), 1)
    where = (at[..., None] + torch.arange(talk, device=at.device)).clamp(max=values.shape[1])
    return wide[torch.arange(len(values), device=at.device)[:, None, None], where]


def _spread(states: Tensor, targets: Tensor, where: Tensor, head: Tensor) -> Tensor:
    """Losses of the tokens that count, 0 for the others; in the shape of `where`."""
    losses = token_losses(states[where].to(head.dtype), targets[where], head)
    return torch.zeros(where.shape, device=losses.device).index_put((where,), losses)


def _imitation(found: Thoughts, where: Tensor, head: Tensor) -> Tensor:
    """Mean cross-entropy of the thoughts' tokens at the places [batch, places] of texts that are taught."""
    if not bool(where.any()):
        return found.base.sum() * 0.0
    return token_losses(found.sources[where].flatten(0, 1).to(head.dtype), found.tokens[where].flatten(), head).mean()


def _policy(found: Thoughts, advantage: Tensor, some: Tensor, head: Tensor, weights: LossWeights) -> Tensor:
    """REINFORCE: advantage times minus the log-probability of the thought, mean over places."""
    chosen = some & (advantage > 0)
    if not bool(chosen.any()):
        return found.base.sum() * 0.0
    states = found.sources[chosen] / weights.reinforce_temperature  # through a head without bias: the logits, divided
    losses = token_losses(states.flatten(0, 1).to(head.dtype), found.tokens[chosen].flatten(), head)
    unlikely = losses.view(-1, found.tokens.shape[-1]).sum(-1)
    return (advantage[chosen] * unlikely).sum() / some.sum()
