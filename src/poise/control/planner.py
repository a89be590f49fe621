"""Decide: a pure function of the request and of what is known about the engine."""

from __future__ import annotations

from poise.config import plan_of
from poise.core import Kind, Request
from poise.costs import Card
from poise.seams import Plan, Strategy
from poise.strategies.adaptive_consistency import AdaptiveConsistency
from poise.strategies.cot import ChainOfThought

TYPICAL_TOKENS = 120
"""New tokens of one reasoned draft, until something has been measured."""


def plan(
    request: Request,
    *,
    strategy: Strategy | None = None,
    engine: str = "main",
    scorer: str | None = None,
    card: Card | None = None,
) -> Plan:
    """A plan for `request`. Without a named strategy: free text gets one reasoned draft, since votes need comparable
    answers; anything else gets sequential voting that stops once it is sure, capped by what the budget can hold."""
    if strategy is not None:
        return plan_of(strategy, engine=engine, scorer=scorer, because=f"{strategy.name} was asked for by name")
    if request.kind is Kind.TEXT:
        because = "the answer is free text, where votes cannot be compared: one reasoned draft"
        return plan_of(ChainOfThought(), engine=engine, scorer=scorer, because=because)
    most, why = _draws(request, card)
    if most < 2:
        return plan_of(ChainOfThought(), engine=engine, because=f"{why}: room for one draft")
    because = f"the answer is a {request.kind.value}: vote until the leader is 2 ahead, at most {most} drafts ({why})"
    return plan_of(AdaptiveConsistency(n=most), engine=engine, because=because)


def _draws(request: Request, card: Card | None) -> tuple[int, str]:
    """How many drafts of typical length the budget holds, up to 10, and the sentence that says so."""
    budget, most, why = request.goal.budget, 10, "no ceiling on tokens, calls or FLOPs binds"
    per_draft = min(TYPICAL_TOKENS, request.sampling.max_tokens)
    if budget.new_tokens is not None and budget.new_tokens // per_draft < most:
        most, why = budget.new_tokens // per_draft, f"{budget.new_tokens} new tokens at about {per_draft} a draft"
    prompt = sum(len(message.text.encode()) for message in request.messages) // 4 + 40
    if budget.total_tokens is not None and budget.total_tokens // (per_draft + prompt) < most:
        most = budget.total_tokens // (per_draft + prompt)
        why = f"{budget.total_tokens} tokens at about {per_draft + prompt} a draft with its prompt"
    if budget.calls is not None and budget.calls < most:
        most, why = budget.calls, f"{budget.calls} calls"
    if budget.flops is not None and card is not None and (each := card.flops(TYPICAL_TOKENS, 0, per_draft)) > 0:
        held = int(budget.flops / each)
        if held < most:
            most, why = held, f"{budget.flops:.3g} FLOPs at about {each:.3g} a draft"
    return most, why
