"""Chain of Draft."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from poise.strategies.direct import Direct


@dataclass(frozen=True, slots=True)
class ChainOfDraft(Direct):
    """One draw with steps of about five words, shown by few shots (Xu et al. 2025, arXiv 2502.18600). Saves tokens on
    strong models and costs accuracy on small ones. Cost: 1 call."""

    name: ClassVar[str] = "chain_of_draft"
    prompt: str = "chain_of_draft"
