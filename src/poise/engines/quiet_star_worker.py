"""The thread in which a model with thoughts decodes: when it thinks, and by which numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from poise.core import Thinking, ThinkingMode
from poise.engines.torch_worker import Call, Draw, Mail, Read, Worker, joined, pieces
from poise.models.quiet_star.gates import Gate, corrected

_THOUGHTS, _CHECKS = 0x5EED_7407, 0x5EED_C4EC  # set such numbers apart from those of the text


class ThinkingWorker(Worker):
    """See Worker. Draws think, each by its own dice, whoever else does; `thinking`: of those that do not say how."""

    def __init__(self, make: Any, words_of: Any, ends: frozenset[int], thinking: Thinking, gate: Gate | None) -> None:
        super().__init__(make, words_of, ends)
        self._thinking, self._gate = thinking, gate

    def _way(self, draw: Draw) -> Thinking:
        return draw.call.sampling.thinking or self._thinking

    def _draw(self, call: Call, index: int) -> Draw:
        draw = super()._draw(call, index)
        draw.share = self._way(draw).share
        return draw

    def _step(self, decoder: Any, mail: Mail, fresh: Sequence[Read]) -> None:
        """Draws that draft go on by a round, the others by one token: all at once where nobody drafts."""
        import torch

        older = self._older(fresh)
        if not any(self._way(draw).mode is ThinkingMode.AMORTISED for draw in older):
            super()._step(decoder, mail, fresh)
            return
        groups: dict[int, list[int]] = {}
        for row, draw in enumerate(older):
            way = self._way(draw)
            groups.setdefault(way.drafts if way.mode is ThinkingMode.AMORTISED else 0, []).append(row)
        read, single = list(fresh), groups.pop(0, [])
        if single:
            tokens = torch.tensor([older[row].next for row in single])
            states, logits = decoder.advance(torch.tensor(single), tokens)
            read.insert(0, (logits, states))
        done = [row for drafts, rows in groups.items() for row in self._round(decoder, mail, rows, drafts)]
        if read:
            rows = [*single, *range(len(older), len(self._draws))]
            done += self._take(decoder, mail, *joined(read), rows)
        self._retire(decoder, mail, done)

    def reconsider(self, decoder: Any, logits: Any, states: Any, rows: Sequence[int]) -> tuple[Any, list[int]]:
        import torch

        draws = [self._draws[row] for row in rows]
        which = self._thinkers(draws, logits, states)
        if not which:
            return logits, [0] * len(draws)
        numbers = self._numbers([draws[place] for place in which], 1, decoder.passes - 2)
        thought = decoder.think(torch.tensor([rows[place] for place in which]), states[which][:, None], numbers)
        mixed, some = logits.clone(), frozenset(which)
        mixed[which] = thought[:, 0]
        return mixed, [decoder.passes if place in some else 0 for place in range(len(draws))]

    def _thinkers(self, draws: Sequence[Draw], logits: Any, states: Any) -> list[int]:
        """Which of some draws think about their next token. One that drafts does, too: its first has no draft."""
        ways = [self._way(draw) for draw in draws]
        gated = [place for place, way in enumerate(ways) if way.mode is ThinkingMode.GATED]
        opened: set[int] = set()
        if gated and self._gate:
            shares = [draws[place].share for place in gated]
            opens = self._gate.opens(logits[gated], states[gated], shares)
            for place, share, open_ in zip(gated, shares, opens, strict=True):
                draws[place].share = corrected(share, ways[place].share, open_)
            opened = {place for place, open_ in zip(gated, opens, strict=True) if open_}
        elif gated:
            opened = {place for place in gated if ways[place].share == 1}
        always = (ThinkingMode.EXACT, ThinkingMode.AMORTISED)
        return [place for place, way in enumerate(ways) if way.mode in always or place in opened]

    def _round(self, decoder: Any, mail: Mail, rows: Sequence[int], drafts: int) -> list[int]:
        """Draft tokens for the draws in some rows, think about each, keep what thinking bears out; who is done."""
        import torch

        from poise.models.sampling import choose, told, verified, weights

        draws, which = [self._draws[row] for row in rows], torch.tensor(rows)
        samplings, held = [draw.call.sampling for draw in draws], [len(decoder.held[row]) for row in rows]
        tokens, states, logits = [torch.tensor([draw.next for draw in draws])], [], []
        for place in range(drafts + 1):
            state, made = decoder.advance(which, tokens[-1])
            states.append(state)
            logits.append(made)
            if place < drafts:
                numbers = [draw.dice.number(draw.count + place) for draw in draws]
                tokens.append(choose(made, samplings, numbers).tokens)
        thought = self._numbers(draws, drafts + 1, decoder.passes - 2)
        mixed = decoder.think(which, torch.stack(states, 1), thought)
        drafted = torch.stack([weights(each, samplings) for each in logits[:-1]], 1)
        done = []
        for place, (row, draw) in enumerate(zip(rows, draws, strict=True)):
            line = torch.stack([each[place] for each in tokens[1:]])
            wanted = weights(mixed[place], [draw.call.sampling] * (drafts + 1))
            kept = verified(line, drafted[place], wanted, self._checks(draw, drafts + 1))
            decoder.forget(row, held[place] + len(kept))
            choice = told(mixed[place, : len(kept)], torch.tensor(kept), [draw.call.sampling] * len(kept))
            spent = decoder.passes * (drafts + 1) + drafts + 1 - len(kept)
            if self._tell(decoder, mail, draw, choice, spent):
                done.append(row)
        return done

    def _tell(self, decoder: Any, mail: Mail, draw: Draw, choice: Any, spent: int) -> bool:
        """Send the tokens of a round, all that was thought with the first; whether the draw is done."""
        for place, (token, logprob, top) in enumerate(pieces(choice)):
            delta = self._delta(decoder.limit, draw, token, (logprob, top), 0 if place else spent)
            mail.add(draw.call, delta)
            if delta.finish:
                return True
        return False

    @staticmethod
    def _numbers(draws: Sequence[Draw], places: int, count: int) -> Any:
        """The uniform numbers [draws, places, count] of the thoughts before the next tokens of draws: of seed and place
        alone, so that neither gates nor drafts move them."""
        import torch

        for draw in draws:
            draw.thoughts = draw.thoughts or _dice(draw, _THOUGHTS)
        numbers = [
            [[draw.thoughts.number((draw.count + place) * count + k) for k in range(count)] for place in range(places)]
            for draw in draws
        ]
        return torch.tensor(numbers, dtype=torch.float64).view(len(draws), places, count)

    @staticmethod
    def _checks(draw: Draw, places: int) -> list[tuple[float, float]]:
        """Two numbers for each of a draw's next tokens: to keep a draft by, and to draw again by."""
        draw.checks = draw.checks or _dice(draw, _CHECKS)
        first = 2 * draw.count
        return [(draw.checks.number(first + 2 * k), draw.checks.number(first + 2 * k + 1)) for k in range(places)]


def _dice(draw: Draw, apart: int) -> Any:
    from poise.models.sampling import Dice, seed_of

    seed = seed_of(draw.call.sampling.seed, draw.index)
    return Dice(None if seed is None else seed ^ apart)
