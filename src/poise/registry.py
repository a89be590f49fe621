"""Names to things: one table of lazy factories per seam, and one entry-point group, `poise`, for plug-ins.

A plug-in package declares, for example, `[project.entry-points.poise]` with `strategies.mine = "mine:Mine"`.
"""

from __future__ import annotations

import importlib
import importlib.metadata
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from poise.errors import AMBIGUOUS, UnknownName
from poise.seams import Scorer, Strategy

STRATEGIES: Mapping[str, str] = {
    "direct": "poise.strategies.direct:Direct",
    "cot": "poise.strategies.cot:ChainOfThought",
    "chain_of_draft": "poise.strategies.chain_of_draft:ChainOfDraft",
    "token_budget": "poise.strategies.token_budget:TokenBudget",
    "chain_of_density": "poise.strategies.chain_of_density:ChainOfDensity",
    "self_consistency": "poise.strategies.self_consistency:SelfConsistency",
    "adaptive_consistency": "poise.strategies.adaptive_consistency:AdaptiveConsistency",
    "first_finish": "poise.strategies.first_finish:FirstFinish",
    "confidence_vote": "poise.strategies.confidence_vote:ConfidenceVote",
    "budget_forcing": "poise.strategies.budget_forcing:BudgetForcing",
    "early_exit": "poise.strategies.early_exit:EarlyExit",
    "best_of_n": "poise.strategies.best_of_n:BestOfN",
    "weighted_vote": "poise.strategies.weighted_vote:WeightedVote",
    "beam": "poise.strategies.beam:Beam",
    "dvts": "poise.strategies.dvts:Dvts",
    "rebase": "poise.strategies.rebase:Rebase",
    "rebase_adaptive": "poise.strategies.rebase_adaptive:RebaseAdaptive",
    "rebase_free": "poise.strategies.rebase_free:RebaseFree",
    "quiet_star_rebase": "poise.strategies.quiet_star_rebase:QuietStarRebase",
    "particle_filter": "poise.strategies.particle_filter:ParticleFilter",
    "mcts": "poise.strategies.mcts:Mcts",
    "cascade": "poise.strategies.cascade:Cascade",
}
SCORERS: Mapping[str, str] = {
    "mean_logprob": "poise.scoring.logprob:MeanLogprob",
    "self_certainty": "poise.scoring.self_certainty:SelfCertainty",
    "agreement": "poise.scoring.agreement:Agreement",
    "density": "poise.scoring.density:Density",
    "surprisal": "poise.scoring.surprisal:Surprisal",
    "verifier": "poise.scoring.verifier:Verifier",
    "probe": "poise.scoring.verifier:Probe",
    "prm": "poise.scoring.prm:ProcessRewardModel",
    "quiet_star": "poise.scoring.quiet_star:QuietStarScorer",
}


def strategy_class(name: str) -> type[Strategy]:
    """The class of a strategy. Raises UnknownName, for a name with two meanings too, whatever plug-ins call theirs."""
    if name.lower() in AMBIGUOUS:
        raise UnknownName("strategy", name, STRATEGIES)
    found: type[Strategy] = _load("strategies", name, STRATEGIES, "strategy")
    return found


def scorer_class(name: str) -> type[Scorer]:
    """The class of a scorer. Raises UnknownName."""
    found: type[Scorer] = _load("scorers", name, SCORERS, "scorer")
    return found


def names(seam: str) -> list[str]:
    """All names of "strategies" or "scorers", plug-ins included."""
    table = {"strategies": STRATEGIES, "scorers": SCORERS}[seam]
    return sorted({*table, *_plugins(seam)})


def _load(seam: str, name: str, table: Mapping[str, str], field: str) -> Any:
    if name in table:
        module, _, attribute = table[name].partition(":")
        return getattr(importlib.import_module(module), attribute)
    plugins = _plugins(seam)
    if name in plugins:
        return plugins[name]()
    raise UnknownName(field, name, [*table, *plugins])


def _plugins(seam: str) -> Mapping[str, Callable[[], Any]]:
    points: Iterable[importlib.metadata.EntryPoint] = importlib.metadata.entry_points(group="poise")
    prefix = seam + "."
    return {point.name.removeprefix(prefix): point.load for point in points if point.name.startswith(prefix)}
