"""The road: `solve` carries out a plan. Nothing else in Poise draws, scores or keeps time.

At the deadline (or when the budget is spent) draws are closed and launches refused, so that the strategy returns by
its own rule; if it still does not, its `pick` over what is finished is the answer. When nothing finished at all, one
closing draw forces an answer out of the longest unfinished path, from tokens and seconds kept back for it.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace

from poise import prompts
from poise.core import Ability, Finish, Kind, Pick, Prompt, Request, Sampling, Score, Step, Stopped, ThinkingMode
from poise.costs import Budget, Load
from poise.draws import prompt_bound
from poise.errors import AbilityMissing, ConfigError, NoAnswer, UnknownName
from poise.flow import LiveFlow
from poise.judged import score_paths
from poise.ledger import Ledger
from poise.seams import Engine, Flow, Plan, Scorer, Strategy
from poise.stage import Stage
from poise.trace import Answer, Forked, Opened, Picked, Trace

CLOSING_TOKENS = {Kind.NUMBER: 16, Kind.CHOICE: 16, Kind.EXPRESSION: 32, Kind.TEXT: 64}  # of a forced answer
_EDGE_SECONDS = 0.015  # what picking takes
_LATE_SECONDS = 0.04  # what closed draws may take to settle after the deadline
_LONGEST_TOKEN = 32  # bytes: longer ones are rare runs of blanks


class LiveRun:
    """See `poise.seams.Run`."""

    def __init__(self, stage: Stage, ledger: Ledger, strategy: Strategy, main: str = "main") -> None:
        self._stage, self._ledger, self._main = stage, ledger, main
        self.seed = stage.seeds[0]
        self._prompt: Prompt = prompts.load(strategy.prompt).render(stage.request, **knobs_for_slots(strategy))
        self.sampling = _recording(stage.request.sampling, stage.scorer if strategy.scored else None)

    async def draw(self, parents: Sequence[Step], sampling: Sampling | None = None) -> list[Step]:
        async with self._flow() as flow:
            ids = flow.launch_all(parents, sampling or self.sampling)
            steps = {done.id: done.step async for done in flow}
        if not ids:
            await asyncio.sleep(0)  # a strategy that asks again and again must not keep the deadline from coming
        return [step for id in ids if (step := steps.get(id))]

    async def score(self, steps: Sequence[Step]) -> list[Score]:
        return await score_paths(self._stage, self._ledger, steps)

    def flow(self, role: str = "main") -> Flow:
        return self._flow(role)

    def _flow(self, role: str = "main") -> LiveFlow:
        role = self._main if role == "main" else role
        return LiveFlow(self._stage, self._ledger, (role, self._engine(role)), self._prompt, self.sampling)

    async def fork(self, strategy: Strategy, share: float = 1.0, role: str = "main") -> Pick | None:
        stage = self._stage
        stage.record(Forked(stage.now(), strategy.name, share))
        main = self._main if role == "main" else role
        sub = LiveRun(stage, Ledger(self._ledger.left(share), self._ledger), strategy, main)
        pick = await strategy.solve(stage.request, sub)
        stage.record(
            Forked(stage.now(), strategy.name, share, pick.step.id if pick else None, pick.confidence if pick else None)
        )
        return pick

    def path(self, step: Step) -> tuple[Step, ...]:
        return self._stage.path(step)

    def load(self, role: str = "main") -> Load:
        return self._engine(role if role != "main" else self._main).load()

    def _engine(self, role: str) -> Engine:
        return self._stage.engines[role]

    async def close(self, steps: Sequence[Step]) -> list[Step]:
        closed: list[Step] = []
        for (role, prompt, broken), group in itertools.groupby(steps, self._ending):
            suffix = "\n" * broken + prompts.closing(self._stage.request)
            async with LiveFlow(self._stage, self._ledger, (role, self._engine(role)), prompt, self.sampling) as flow:
                flow.launch_all(list(group), closing_sampling(self.sampling, self._stage.request.kind), suffix=suffix)
                closed += [done.step async for done in flow if done.step]
        return sorted(closed, key=lambda step: step.id)

    def _ending(self, step: Step) -> tuple[str, Prompt, bool]:
        """What paths must share to be closed together: role, prompt, and whether the text breaks off within a line."""
        return step.role, self._stage.prompts[step.id], not self._stage.text(step).endswith("\n")


def closing_sampling(sampling: Sampling, kind: Kind) -> Sampling:
    """How a forced answer is drawn."""
    return replace(sampling, max_tokens=CLOSING_TOKENS[kind], temperature=0.0, top_logprobs=None, stop=("\n",))


def knobs_for_slots(strategy: Strategy) -> dict[str, object]:
    """The knobs of a strategy that its prompt has slots for."""
    slots = prompts.load(strategy.prompt).slots
    return {slot.name: getattr(strategy, slot.name) for slot in slots if hasattr(strategy, slot.name)}


def _recording(sampling: Sampling, scorer: Scorer | None) -> Sampling:
    """Draws must record what the scorer reads."""
    if scorer is None or scorer.top_logprobs is None:
        return sampling
    return replace(sampling, top_logprobs=max(scorer.top_logprobs, sampling.top_logprobs or 0))


def check(
    plan: Plan, engines: Mapping[str, Engine], scorers: Mapping[str, Scorer], sampling: Sampling | None = None
) -> None:
    """Refuse, before a token is spent, a plan that cannot work here; `sampling`: what is asked of every draw, which may
    be to think.

    Raises UnknownName (engine, scorer or prompt), AbilityMissing, ConfigError, and what a scorer's `ready` raises."""
    for _, name in plan.engines:
        if name not in engines:
            raise UnknownName("engine", name, engines)
    if plan.scorer is not None and plan.scorer not in scorers:
        raise UnknownName("scorer", plan.scorer, scorers)
    if plan.strategy.scored and plan.scorer is None:
        raise ConfigError("scorer", None, f"{plan.strategy.name} needs one of {', '.join(sorted(scorers))}")
    judged = scorers[plan.scorer].needs if plan.scorer else frozenset()
    thinks = sampling and sampling.thinking and sampling.thinking.mode is not ThinkingMode.OFF
    asked = frozenset({Ability.THOUGHTS}) if thinks else frozenset()
    for part, role in _parts(plan.strategy):
        prompts.load(part.prompt)
        if role not in dict(plan.engines):
            raise UnknownName(f"engine role of {plan.strategy.name}", role, dict(plan.engines))
        if not getattr(part, "arms", ()):
            more = asked | judged if part.scored else asked
            _check_abilities(part, dict(plan.engines)[role], engines, more)
    if ready := getattr(scorers[plan.scorer] if plan.scorer else None, "ready", None):
        ready()
    loaded = prompts.load(plan.strategy.prompt)
    if plan.prompt_hash and plan.prompt_hash != loaded.hash:
        raise ConfigError(
            "prompt", f"{loaded.id} with hash {loaded.hash}", f"the planned file, hash {plan.prompt_hash}"
        )


def _check_abilities(part: Strategy, name: str, engines: Mapping[str, Engine], more: frozenset[Ability]) -> None:
    """Refuse an engine that cannot do what a strategy needs, or `more`."""
    needs = part.needs | more
    missing = [ability.value for ability in needs - engines[name].can]
    if missing:
        able = [other for other, engine in engines.items() if needs <= engine.can]
        raise AbilityMissing(part.name, name, missing, able)


def _parts(strategy: Strategy, role: str = "main") -> list[tuple[Strategy, str]]:
    """A strategy and all that it may fork, each with the role of its engine."""
    arms = getattr(strategy, "arms", ())
    roles = getattr(strategy, "roles", ()) or ("main",) * len(arms)
    beneath = zip(arms, (role if own == "main" else own for own in roles), strict=True)
    return [(strategy, role), *(part for arm, own in beneath for part in _parts(arm, own))]


def _check_length(request: Request, engines: Sequence[Engine]) -> None:
    """Refuse a conversation that surely exceeds a context; what only might is left to the engine to say."""
    size = sum(len(message.text.encode()) for message in request.messages)
    for engine in engines:
        context = engine.card.context
        if context and size > _LONGEST_TOKEN * context:
            raise ConfigError("question", f"{size:,} bytes", f"what fits {engine.name}'s context of {context:,} tokens")


async def solve(
    request: Request,
    plan: Plan,
    engines: Mapping[str, Engine],
    scorers: Mapping[str, Scorer] | None = None,
    seed: int = 0,
    trace: Trace | None = None,
) -> Answer:
    """Carry out `plan` and answer. Pass a `trace` to follow the run live.

    Raises ConfigError before anything is spent when the plan cannot work, and NoAnswer (with `.trace`) when not one
    draft exists at the end."""
    scorers = scorers or {}
    trace = Trace() if trace is None else trace
    try:
        check(plan, engines, scorers, request.sampling)
        roles = {role: engines[name] for role, name in plan.engines}
        _check_length(request, list(roles.values()))
        budget = plan.budget.meet(request.goal.budget)
        stage = Stage(request, plan, roles, scorers[plan.scorer] if plan.scorer else None, trace)
        stage.seeds[0] = seed
        stage.record(Opened(request, plan, seed, time.time()))
        run = LiveRun(stage, Ledger(_kept_back(budget, roles, plan.strategy, request)), plan.strategy)
        return await _answered(stage, run, budget)
    finally:
        trace.close()


async def _answered(stage: Stage, run: LiveRun, budget: Budget) -> Answer:
    pick = await _within_deadline(stage, run, budget)
    if pick is None or (pick.step.value is None and (stage.halted or stage.refused)):
        pick = await _closed(stage, run, budget, pick)
    if pick is None:
        raise _no_answer(stage)
    stopped = _stopped(stage, pick)
    stage.record(Picked(stage.now(), pick.step.id, pick.confidence, pick.votes, stopped))
    return Answer(stage.text(pick.step), pick.step.value, pick.confidence, stopped, stage.trace)


def _kept_back(budget: Budget, roles: Mapping[str, Engine], strategy: Strategy, request: Request) -> Budget:
    """The budget less what one closing draw may need, where the engine could make one: new tokens for every strategy;
    its call, prompt and path for those that work in pieces, whose answer may hang on it."""
    if Ability.CONTINUES not in roles["main"].can:
        return budget
    card = roles["main"].card
    closing, kept = CLOSING_TOKENS[request.kind], budget
    if budget.new_tokens is not None:
        kept = replace(kept, new_tokens=max(budget.new_tokens - min(closing, budget.new_tokens // 8), 1))
    if Ability.CONTINUES in strategy.needs:
        if budget.calls is not None:
            kept = replace(kept, calls=max(budget.calls - 1, 1))
        read = prompt_bound(request.messages) + request.sampling.max_tokens
        if budget.total_tokens is not None:
            whole = min(closing + read, budget.total_tokens // 4)
            kept = replace(kept, total_tokens=max(budget.total_tokens - whole, 1))
        if budget.flops is not None:
            kept = replace(kept, flops=budget.flops - min(card.flops(read, 0, closing), budget.flops / 4))
        if budget.money is not None:
            kept = replace(kept, money=budget.money - min(card.money(read, closing), budget.money / 4))
    return kept


async def _within_deadline(stage: Stage, run: LiveRun, budget: Budget) -> Pick | None:
    """Let the strategy solve; halt it at the deadline, and earlier when only a closing draw can still answer."""
    strategy, request = stage.plan.strategy, stage.request
    if budget.seconds is None:
        return await strategy.solve(request, run)
    loop = asyncio.get_running_loop()
    end = stage.opened + budget.seconds

    def close_early() -> None:
        pick = strategy.pick(request, stage.finished(), stage.scores)
        if pick is None or pick.step.value is None:
            stage.halt(Stopped.DEADLINE)

    timers = [loop.call_at(end - _EDGE_SECONDS, stage.halt, Stopped.DEADLINE)]
    if Ability.CONTINUES in stage.engines["main"].can:
        timers.append(loop.call_at(end - _closing_seconds(budget), close_early))
    task = loop.create_task(strategy.solve(request, run))
    try:
        await asyncio.wait({task}, timeout=budget.seconds + _LATE_SECONDS)
        if task.done():
            return task.result()
        stage.halt(Stopped.DEADLINE)
        return strategy.pick(request, stage.finished(), stage.scores)
    finally:
        for timer in timers:
            timer.cancel()
        if not task.done():
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


def _closing_seconds(budget: Budget) -> float:
    """Seconds kept back for a closing draw: a fifth of the deadline, a second at the most."""
    return min(0.2 * (budget.seconds or 0.0), 1.0)


async def _closed(stage: Stage, run: LiveRun, budget: Budget, pick: Pick | None) -> Pick | None:
    """Answer from unfinished work: the best path that has text, closed by force where the engine can continue."""
    drafts = [step for step in stage.steps.values() if step.id and step.text.strip()]
    if not drafts or stage.halted is Stopped.CANCELLED:
        return pick
    best = max(drafts, key=lambda step: _worth(stage, step))
    left = None if budget.seconds is None else budget.seconds - stage.now() - _EDGE_SECONDS
    if _answers(best) or Ability.CONTINUES not in stage.engines[best.role].can or (left is not None and left <= 0):
        return Pick(best) if _answers(best) else pick or Pick(best)
    halted, stage.halted = stage.halted, None
    run._ledger.budget = budget
    timer = asyncio.get_running_loop().call_later(left, stage.halt, Stopped.DEADLINE) if left is not None else None
    closed = await run.close([best])
    if timer:
        timer.cancel()
    stage.halted = halted or stage.halted
    return Pick(closed[0]) if closed and closed[0].value else pick or Pick(best)


def _answers(step: Step) -> bool:
    """Whether a step says its value by itself. After a delimiter more was to come, unless the answer was forced."""
    return step.value is not None and (step.draft.finish is not Finish.DELIMITER or bool(step.suffix))


def _worth(stage: Stage, step: Step) -> tuple[bool, float, int]:
    """Which unfinished path to answer from: one with a value, else the best score, else the longest."""
    score = stage.scores.get(step.id)
    return _answers(step), score.value if score else 0.0, len(stage.text(step))


def _stopped(stage: Stage, pick: Pick) -> Stopped:
    if stage.halted:
        return stage.halted
    if pick.agreed:
        return Stopped.AGREED
    return Stopped.BUDGET if stage.refused else Stopped.DONE


def _no_answer(stage: Stage) -> NoAnswer:
    failure = None if stage.halted else stage.last_error
    if stage.halted:
        error = NoAnswer("the deadline passed before any text came")
    elif failure:
        error = NoAnswer(f"every draw failed; the last with {type(failure).__name__}: {failure}")
    else:
        error = NoAnswer("the budget has no room for a single draw: raise it or shorten the prompt")
    error.trace = stage.trace
    error.__cause__ = failure
    return error
