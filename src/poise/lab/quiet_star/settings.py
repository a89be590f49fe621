"""The [quiet_star] table of a recipe: how thoughts are shaped, judged and learnt."""

from __future__ import annotations

from dataclasses import dataclass, fields

from poise.errors import ConfigError
from poise.models.quiet_star.config import QuietStarConfig


@dataclass(frozen=True, slots=True)
class LossWeights:
    """`base_loss_beta` and `mixed_loss_beta`: of the two cross-entropies; `policy_loss_beta`: of REINFORCE, whose
    log-probabilities are taken at `reinforce_temperature`; `distil_loss_beta`: of the cross-entropy of the next token
    without a thought against its distribution with one, which puts into the weights what thoughts know, so that they
    can be left out (after Fast Quiet-STaR, arXiv 2505.17746); `thought_loss_beta`: of the cross-entropy of the talk by
    the state after the thought alone (ours): what is mixed with a weight near zero hardly learns, and so its weight
    stays there; `worked_loss_beta`: of the cross-entropy of thoughts against the beginning of the worked solution, in
    one pass of each text whose source has `values` (ours, a warm start; 0: thoughts are left to REINFORCE). Raises
    ConfigError."""

    base_loss_beta: float = 0.5
    mixed_loss_beta: float = 0.5
    policy_loss_beta: float = 1.0
    reinforce_temperature: float = 3.0
    distil_loss_beta: float = 0.0
    thought_loss_beta: float = 0.0
    worked_loss_beta: float = 0.0

    def __post_init__(self) -> None:
        for knob in (each.name for each in fields(self) if each.name.endswith("_beta")):
            if not getattr(self, knob) >= 0:
                raise ConfigError(knob, getattr(self, knob), "0 or more")
        if not self.reinforce_temperature > 0:
            raise ConfigError("reinforce_temperature", self.reinforce_temperature, "above 0")


@dataclass(frozen=True, slots=True)
class QuietStarSettings(QuietStarConfig):
    """See QuietStarConfig and LossWeights for most. `head_learning_rate`: of embeddings and mixing head, beside the
    recipe's `learning_rate` of the adapter. `places`: think at so many places of an example, chosen anew each time
    among those with a token to predict in reach (0: at every place, as in the paper). `filler`: a text whose first
    token takes the place of every thought token, which makes a pause-token model of it (Goyal et al. 2023, arXiv
    2310.02226), the control. Raises ConfigError."""

    base_loss_beta: float = 0.5
    mixed_loss_beta: float = 0.5
    policy_loss_beta: float = 1.0
    reinforce_temperature: float = 3.0
    distil_loss_beta: float = 0.0
    thought_loss_beta: float = 0.0
    worked_loss_beta: float = 0.0
    head_learning_rate: float = 1e-3
    places: int = 0
    filler: str = ""

    def __post_init__(self) -> None:
        super(QuietStarSettings, self).__post_init__()
        if not self.head_learning_rate > 0:
            raise ConfigError("head_learning_rate", self.head_learning_rate, "above 0")
        if self.places < 0:
            raise ConfigError("places", self.places, "1 or more, or 0 for every place")
        _ = self.weights  # checks what it is made of

    @property
    def config(self) -> QuietStarConfig:
        """Of the model."""
        return QuietStarConfig(**{knob.name: getattr(self, knob.name) for knob in fields(QuietStarConfig)})

    @property
    def weights(self) -> LossWeights:
        """Of the loss."""
        return LossWeights(**{knob.name: getattr(self, knob.name) for knob in fields(LossWeights)})
