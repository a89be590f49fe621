"""The arms of the study of thoughts and search: the published ones, controls, and the union with its gates."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

from poise.config import plan_of
from poise.core import Sampling, Thinking, ThinkingMode
from poise.seams import Arm, Strategy
from poise.strategies.adaptive_consistency import AdaptiveConsistency
from poise.strategies.quiet_star_rebase import QuietStarRebase, When
from poise.strategies.rebase import Rebase
from poise.strategies.self_consistency import SelfConsistency
from poise.study.flaws import Flaw, PublishedUnion

OFF, EXACT = Thinking(ThinkingMode.OFF), Thinking(ThinkingMode.EXACT)
BENEATH = "beneath"
"""The engine of the model that never learnt to think, where the study has one."""


@dataclass(frozen=True, slots=True)
class Design:
    """What all arms share. `votes`: six in the published study, at temperature 1, which is `hot` here and `cool` for
    its control. `share`: of tokens that gated arms think before; `passes`: of a thought; `drafts`: of amortised ones.
    `auroc`: of the scorer, within questions, as measured (see QuietStarRebase). `union`: its gates. `cut`: tokens of a
    step where the flaw of that name is switched on. `margin`: a share of items; an arm that was promised not to be
    worse must not be so by more (500 items support 5 points where one in five differs)."""

    prompt: str = "silent"
    votes: int = 6
    hot: float = 1.0
    cool: float = 0.7
    max_tokens: int = 256
    share: float = 0.15
    passes: int = 7
    drafts: int = 2
    scorer: str = "surprisal"
    auroc: float = 1.0
    union: QuietStarRebase = QuietStarRebase()
    cut: int = 96
    margin: float = 0.05

    def sampling(self, thinking: Thinking, temperature: float | None = None) -> Sampling:
        """Of an arm."""
        heat = self.hot if temperature is None else temperature
        return Sampling(heat, max_tokens=self.max_tokens, thinking=thinking)

    def arm(
        self, name: str, strategy: Strategy, thinking: Thinking = OFF, heat: float | None = None, engine: str = "main"
    ) -> Arm:
        """An arm on these terms."""
        asked = replace(strategy, prompt=self.prompt)  # type: ignore[type-var]
        scorer = self.scorer if strategy.scored else None
        return Arm(name, plan_of(asked, engine=engine, scorer=scorer), self.sampling(thinking, heat))

    @property
    def width(self) -> int:
        """In steps that never think, what `votes` cost that always do."""
        return round(self.votes * (1.0 + self.passes))


def main_arms(design: Design, *, beneath: bool = False) -> tuple[Arm, ...]:
    """The published configurations (a baseline, Quiet-STaR, REBASE of three widths, both together without gates), their
    controls (thoughts off and on at a lower temperature; a vote that stops by itself and a search, without thoughts but
    for what they cost; the model that never learnt to think), thoughts that are gated or amortised, and the union
    for half of what thoughts cost, and for all of it."""
    vote = SelfConsistency(n=design.votes)
    gated = Thinking(ThinkingMode.GATED, design.share)
    amortised = Thinking(ThinkingMode.AMORTISED, drafts=design.drafts)
    arms = [
        design.arm("baseline", vote),
        design.arm("quiet_star", vote, EXACT),
        *(design.arm(f"rebase{width}", Rebase(width=width)) for width in (3, 6, 16)),
        design.arm("combined", _combined(design)),
        design.arm("baseline_cool", vote, heat=design.cool),
        design.arm("quiet_star_cool", vote, EXACT, design.cool),
        design.arm("adaptive_equal", AdaptiveConsistency(n=design.width)),
        design.arm("rebase_equal", Rebase(width=design.width)),
        design.arm("quiet_star_gated", vote, gated),
        design.arm("quiet_star_amortised", vote, amortised),
        design.arm("union", _union(design, design.width // 2)),
        design.arm("union_equal", _union(design, design.width)),
    ]
    if beneath:
        arms.append(design.arm("never_taught", vote, engine=BENEATH))
    return tuple(arms)


def ablation_arms(design: Design) -> tuple[Arm, ...]:
    """The union with one gate off at a time, and the published union: whole, with each flaw alone, with all of them."""
    union, combined = _union(design, design.width // 2), _combined(design)
    flawed = {flaw.value: (flaw,) for flaw in Flaw} | {"all": tuple(Flaw)}
    return (
        design.arm("union_gated", union),
        design.arm("no_query_gate", replace(union, drafts=0)),
        design.arm("no_step_gate", replace(union, when=When.ALWAYS)),
        design.arm("no_token_gate", replace(union, thought_share=1.0)),
        design.arm("no_thoughts", replace(union, when=When.NEVER)),
        design.arm("combined_whole", combined),
        *(design.arm(f"flaw_{name}", _flawed(combined, flaws, design.cut)) for name, flaws in flawed.items()),
    )


COMPARISONS = (
    ("quiet_star", "baseline"),
    ("combined", "quiet_star"),
    ("combined", "baseline"),
    ("union", "baseline"),
    ("union", "quiet_star"),
    ("union", "rebase_equal"),
    ("union_equal", "quiet_star"),
    ("union_equal", "rebase_equal"),
    ("baseline_cool", "baseline"),
    ("quiet_star_cool", "baseline_cool"),
    ("adaptive_equal", "baseline"),
    ("quiet_star", "adaptive_equal"),
    ("quiet_star_gated", "quiet_star"),
    ("quiet_star_amortised", "quiet_star"),
)
PROMISES = (("union", "quiet_star"), ("union_equal", "quiet_star"), ("union_equal", "rebase_equal"))
ABLATIONS = (
    ("union_gated", "no_query_gate"),
    ("union_gated", "no_step_gate"),
    ("union_gated", "no_token_gate"),
    ("union_gated", "no_thoughts"),
    *(("combined_whole", f"flaw_{name}") for name in (*(flaw.value for flaw in Flaw), "all")),
)
"""Pairs that are tested, named beforehand; of `PROMISES`, that the first is not worse by the margin or more."""


def _combined(design: Design) -> QuietStarRebase:
    """As many paths as there are votes, all of which always think."""
    return QuietStarRebase(width=design.width, when=When.ALWAYS, thought_share=1.0, passes=design.passes, drafts=0)


def _union(design: Design, units: int) -> QuietStarRebase:
    """For what so many steps cost that never think, drafts included."""
    share = design.share if design.union.thought_share < 1 else 1.0
    made = replace(design.union, passes=design.passes, auroc=design.auroc, thought_share=share)
    drafted = made.drafts * (made.price if made.drafts_think else 1.0)
    return replace(made, width=max(1, int(units - drafted)))


def _flawed(combined: QuietStarRebase, flaws: tuple[Flaw, ...], cut: int) -> PublishedUnion:
    knobs = {knob.name: getattr(combined, knob.name) for knob in fields(combined)}
    return PublishedUnion(**knobs, flaws=flaws, cut=cut)
