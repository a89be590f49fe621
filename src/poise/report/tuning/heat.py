"""Tokens on the page, the stronger coloured the more there is to say of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from poise.report.markup import Html, el, join
from poise.report.tuning.lineage import Piece
from poise.report.tuning.read import Tuning

_STRONGEST = 55  # per cent of the colour: the text on it stays readable


def changed(pieces: Sequence[Piece], tuning: Tuning) -> Html | None:
    """How lately each token was put there; None where all are the initial prompt's."""
    if all(piece.born is None for piece in pieces):
        return None
    last = max(tuning.steps[-1].number, 1)
    line = _line(pieces, lambda piece: 0.0 if piece.born is None else (piece.born + 1) / (last + 1))
    return join([el("h3", "After the last step: the stronger, the later a token came"), line])


def pulled(pieces: Sequence[Piece]) -> Html | None:
    """How much the gradient wants each token replaced; None where none was taken."""
    pulls = [-piece.pull for piece in pieces if piece.pull is not None and piece.pull < 0]
    if not pulls:
        return None
    line = _line(pieces, lambda piece: max(-(piece.pull or 0.0), 0.0) / max(pulls))
    return join([el("h3", "After the last step: the stronger, the more the gradient wants a token replaced"), line])


def _line(pieces: Sequence[Piece], share: Callable[[Piece], float]) -> Html:
    found = (
        el("span", piece.text, style=f"--heat:{_STRONGEST * share(piece):.0f}%", title=_about(piece))
        for piece in pieces
    )
    return el("div", *found, class_="tokens")


def _about(piece: Piece) -> str:
    came = "of the initial prompt" if piece.born is None else f"since step {piece.born}"
    parts = [came, f"replaced {piece.changes} times" if piece.changes != 1 else "replaced once"]
    parts += [f"tried by {piece.visits} steps" if piece.visits != 1 else "tried by 1 step"]
    parts += [] if piece.pull is None else [f"steepest slope {piece.pull:+.2g}"]
    return ", ".join(parts)
