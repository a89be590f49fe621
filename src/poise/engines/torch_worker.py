"""The thread in which a PyTorch model decodes: takes calls as they come, decodes all living draws one token at a time,
and hands what it made to the event loops that asked."""

from __future__ import annotations

import asyncio
import collections
import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias

from poise.core import Delta, Finish, Sampling
from poise.errors import EngineError, EngineUnreachable

logger = logging.getLogger(__name__)

_TOGETHER = 2_048  # prompt tokens read in one pass: more makes those who are decoding wait

Read: TypeAlias = tuple[Any, Any]
"""Of some draws: logits [n, vocabulary] of their next tokens, and the states [n, width] that these are of, or None."""


class Decoder(Protocol):
    """What decodes: `poise.models.decode.Rows` or `poise.models.gangs.Gangs`."""

    size: int
    limit: int
    active: int
    states: Any

    def admit(self, prompts: Sequence[tuple[Sequence[int], int]]) -> Any: ...

    def step(self, tokens: Any) -> Any: ...

    def retire(self, row: int, riders: list[Any]) -> None: ...


@dataclass(eq=False, slots=True)
class Call:
    """One call of an engine: n draws of one prompt. `goes_on`: from an assistant's text, as the steps of a search do;
    `made`: tokens generated, handed over or not."""

    tokens: list[int]
    sampling: Sampling
    n: int
    loop: asyncio.AbstractEventLoop
    inbox: asyncio.Queue[list[Delta] | EngineError | None]
    goes_on: bool = False
    admitted: int = 0
    ended: int = 0
    made: int = 0
    closed: bool = False

    @property
    def over(self) -> bool:
        """Whether nothing of it lives or waits."""
        return self.ended == self.admitted and (self.closed or self.admitted == self.n)


@dataclass(eq=False, slots=True)
class Draw:
    """One living draw. `next`: the token to be read next; `text`: all of it so far, for finding stop strings;
    `thoughts`, `checks`: the dice of its thoughts, and of what is kept of its drafts, where it thinks; `share`: what
    its gate is asked for next."""

    call: Call
    index: int
    dice: Any
    words: Any
    next: int = 0
    count: int = 0
    text: str = ""
    thoughts: Any = None
    checks: Any = None
    share: float = 1.0


@dataclass(slots=True)
class Mail:
    """What one step made, by call."""

    letters: dict[Call, list[Delta]] = field(default_factory=dict)

    def add(self, call: Call, delta: Delta) -> None:
        """One more delta of a call."""
        self.letters.setdefault(call, []).append(delta)

    def send(self) -> None:
        """Put everything into the inboxes, once per event loop. Calls whose draws have all ended get the None that
        ends them."""
        by_loop: dict[asyncio.AbstractEventLoop, list[tuple[Call, list[Delta], bool]]] = {}
        for call, deltas in self.letters.items():  # over by now, not by the time that the loop gets to read this
            by_loop.setdefault(call.loop, []).append((call, deltas, call.over))
        for loop, letters in by_loop.items():
            try:
                loop.call_soon_threadsafe(_deliver, letters)
            except RuntimeError:  # that loop has been closed: nobody waits any more
                for call, _, _ in letters:
                    call.closed = True


def _deliver(letters: list[tuple[Call, list[Delta], bool]]) -> None:
    for call, deltas, over in letters:
        if deltas:
            call.inbox.put_nowait(deltas)
        if over:
            call.inbox.put_nowait(None)


def joined(read: Sequence[Read]) -> Read:
    """What was read of several groups of draws, as of one."""
    import torch

    if len(read) == 1:
        return read[0]
    states = None if read[0][1] is None else torch.cat([states for _, states in read])
    return torch.cat([logits for logits, _ in read]), states


Words: TypeAlias = Callable[[Sequence[int]], Any]


class Worker:
    """See the module. `make` makes the decoder, in the thread, at the first call; `words_of` makes an incremental
    detokeniser, told what it goes on from; `ends`: token ids that end a text."""

    def __init__(self, make: Callable[[], Decoder], words_of: Words, ends: frozenset[int]) -> None:
        self._make, self._words_of, self._ends = make, words_of, ends
        self._ready = threading.Condition()
        self._waiting: collections.deque[Call] = collections.deque()
        self._draws: list[Draw] = []
        self._thread: threading.Thread | None = None
        self._stopping = False

    @property
    def living(self) -> int:
        """Draws that are being decoded."""
        return len(self._draws)

    @property
    def queued(self) -> int:
        """Draws that wait for a row."""
        return sum(call.n - call.admitted for call in tuple(self._waiting))

    def submit(self, call: Call) -> None:
        """Queue a call; starts the thread when there is none."""
        with self._ready:
            self._waiting.append(call)
            if self._thread is None or not self._thread.is_alive():
                self._stopping = False
                self._thread = threading.Thread(target=self._run, name="poise-torch", daemon=True)
                self._thread.start()
            self._ready.notify()

    def close(self, call: Call) -> None:
        """Nobody wants the rest of a call: its draws end before the next step."""
        with self._ready:
            call.closed = True
            self._ready.notify()

    def stop(self) -> None:
        """End the thread; calls that live or wait fail. Blocks until the step being computed is done."""
        with self._ready:
            self._stopping = True
            self._ready.notify()
        if self._thread:
            self._thread.join()

    def _run(self) -> None:
        try:
            decoder = self._make()
            while self._sleep():
                mail = Mail()
                self._sweep(decoder, mail)
                fresh = self._admit(decoder, mail)
                if self._draws:
                    self._step(decoder, mail, fresh)
                mail.send()
        except Exception as error:
            logger.exception("decoding stopped")
            self._fail(EngineUnreachable(f"decoding stopped: {type(error).__name__}: {error}"))
        else:
            self._fail(EngineUnreachable("the engine was closed"))

    def _sleep(self) -> bool:
        """Wait for work; False when it is time to stop."""
        with self._ready:
            while not (self._stopping or self._waiting or self._draws):
                self._ready.wait()
            return not self._stopping

    def _fail(self, error: EngineError) -> None:
        with self._ready:
            calls = {draw.call for draw in self._draws} | set(self._waiting)
            self._draws.clear()
            self._waiting.clear()
            self._thread = None
        for call in calls:
            call.closed, call.ended = True, call.admitted
            try:
                call.loop.call_soon_threadsafe(call.inbox.put_nowait, error)
            except RuntimeError:
                continue

    def _sweep(self, decoder: Decoder, mail: Mail) -> None:
        """End the draws of closed calls, and forget closed calls that still wait."""
        for row in range(len(self._draws) - 1, -1, -1):
            if self._draws[row].call.closed:
                self._end(decoder, row, mail)
        with self._ready:
            for call in [call for call in self._waiting if call.closed]:
                self._waiting.remove(call)
                mail.letters.setdefault(call, [])

    def _admit(self, decoder: Decoder, mail: Mail) -> list[Read]:
        """Give free rows to waiting calls, as many at once as `_TOGETHER` new tokens; a call may start in parts. What
        was read of the draws that came in, the last ones now."""
        came = list[Read]()
        while chosen := self._next(decoder):
            read = decoder.admit([(call.tokens, copies) for call, copies in chosen])
            for (call, copies), cached in zip(chosen, read.shared, strict=True):
                if call.admitted == 0:
                    mail.add(call, Delta(prompt_tokens=len(call.tokens), cached_tokens=cached))
                fresh = [self._draw(call, call.admitted + copy) for copy in range(copies)]
                with self._ready:
                    call.admitted += copies
                    self._draws += fresh
                    if call.admitted == call.n:
                        self._waiting.remove(call)
            copies_of = [number for number, (_, copies) in enumerate(chosen) for _ in range(copies)]
            came.append((read.logits[copies_of], None if read.states is None else read.states[copies_of]))
        return came

    def _next(self, decoder: Decoder) -> list[tuple[Call, int]]:
        """Which waiting calls get rows now, and how many each: first those that go on from a text, whose keys are still
        in the cache now and may not be later; then first come, first served."""
        free, tokens, chosen = decoder.size - decoder.active, 0, list[tuple[Call, int]]()
        with self._ready:
            for call in sorted(self._waiting, key=lambda call: not call.goes_on):
                if free == 0 or (chosen and tokens + len(call.tokens) > _TOGETHER):
                    break
                copies = min(call.n - call.admitted, free)
                chosen.append((call, copies))
                free, tokens = free - copies, tokens + len(call.tokens)
        return chosen

    def _draw(self, call: Call, index: int) -> Draw:
        from poise.models.sampling import Dice, seed_of

        words = self._words_of(call.tokens if call.goes_on else ())
        return Draw(call, index, Dice(seed_of(call.sampling.seed, index)), words)

    def _step(self, decoder: Decoder, mail: Mail, fresh: Sequence[Read]) -> None:
        """A token more for every draw, the first for those that are `fresh`: all at once, so that what is done for many
        is done for all."""
        import torch

        read, older = list(fresh), self._older(fresh)
        if older:
            logits = decoder.step(torch.tensor([draw.next for draw in older]))
            read.insert(0, (logits, decoder.states))
        self._retire(decoder, mail, self._take(decoder, mail, *joined(read), range(len(self._draws))))

    def _older(self, fresh: Sequence[Read]) -> list[Draw]:
        """The draws that have tokens."""
        return self._draws[: len(self._draws) - sum(len(logits) for logits, _ in fresh)]

    def reconsider(self, decoder: Any, logits: Any, states: Any, rows: Sequence[int]) -> tuple[Any, list[int]]:
        """Logits after thinking about the next tokens of the draws in `rows`, and the thought tokens of each; here
        nobody thinks."""
        return logits, [0] * len(rows)

    def _take(self, decoder: Decoder, mail: Mail, logits: Any, states: Any, rows: Sequence[int]) -> list[int]:
        """Choose a token for the draws in `rows`; which of them are done."""
        from poise.models.sampling import choose

        draws = [self._draws[row] for row in rows]
        logits, thought = self.reconsider(decoder, logits, states, rows)
        choice = choose(logits, [d.call.sampling for d in draws], [d.dice.number(d.count) for d in draws])
        done = []
        for row, draw, (token, logprob, top), spent in zip(rows, draws, pieces(choice), thought, strict=True):
            delta = self._delta(decoder.limit, draw, token, (logprob, top), spent)
            mail.add(draw.call, delta)
            if delta.finish:
                done.append(row)
        return done

    def _retire(self, decoder: Decoder, mail: Mail, done: Sequence[int]) -> None:
        """End the draws in some rows, the last one first, since ending one moves those behind it."""
        for row in sorted(done, reverse=True):
            self._end(decoder, row, mail)

    def _delta(self, limit: int, draw: Draw, token: int, told: tuple[float, Sequence[float]], thought: int) -> Delta:
        """A draw's next delta; `told`: the token's logprob, and those of the likeliest; `thought`: tokens thought."""
        logprob, top = told
        sampling = draw.call.sampling
        draw.next, draw.count = token, draw.count + 1
        draw.call.made += 1
        finish = Finish.EOS if token in self._ends else None
        piece = "" if finish else draw.words(token)
        if sampling.stop and piece:
            piece, stopped = _until_stop(draw.text, piece, sampling.stop)
            finish = Finish.DELIMITER if stopped else None
        draw.text += piece
        full = len(draw.call.tokens) + draw.count >= limit
        if finish is None and (draw.count >= sampling.max_tokens or full):
            finish = Finish.LENGTH
        wanted = sampling.top_logprobs
        return Delta(
            piece,
            1,
            draw.index,
            finish,
            () if wanted is None else (min(logprob, 0.0),),
            (tuple(top[:wanted]),) if wanted else (),
            (token,),
            thought_tokens=thought,
        )

    def _end(self, decoder: Decoder, row: int, mail: Mail) -> None:
        call = self._draws[row].call
        mail.letters.setdefault(call, [])
        with self._ready:
            decoder.retire(row, self._draws)
            call.ended += 1


def pieces(choice: Any) -> Iterator[tuple[int, float, Sequence[float]]]:
    """Chosen tokens one by one, each with its logprob and those of the likeliest."""
    tokens = choice.tokens.tolist()
    tops = choice.alternatives.tolist() if choice.alternatives is not None else [()] * len(tokens)
    return zip(tokens, choice.logprobs.tolist(), tops, strict=True)


def _until_stop(before: str, piece: str, stops: Sequence[str]) -> tuple[str, bool]:
    """The piece up to the end of the first stop string that it completes, and whether there is one."""
    text = before + piece
    ends = []
    for stop in stops:
        at = text.find(stop, max(0, len(before) - len(stop) + 1))
        if at >= 0:
            ends.append(at + len(stop))
    return (text[len(before) : min(ends)], True) if ends else (piece, False)
