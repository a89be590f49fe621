import pytest
from hypothesis import given
from hypothesis import strategies as st

from poise.engines import sse
from poise.engines.sse import Events
from poise.errors import EngineError


def fed(*pieces):
    events = Events()
    return [data for piece in pieces for data in events.feed(piece)]


@pytest.mark.parametrize(
    ("wire", "data"),
    [
        (b"data: a\n\n", [b"a"]),
        (b"data:a\n\n", [b"a"]),
        (b"data: a\r\n\r\ndata: b\r\n\r\n", [b"a", b"b"]),
        (b": a comment\n\ndata: a\n\n", [b"a"]),
        (b"event: x\nid: 1\nretry: 5\ndata: a\n\n", [b"a"]),
        (b"data: a\ndata: b\n\n", [b"a\nb"]),
        (b"\n\n\ndata: a\n\n\n", [b"a"]),
        (b"data: a\n\ndata: unfinished\n", [b"a"]),
    ],
)
def test_events_are_told_apart(wire, data):
    assert fed(wire) == data


@given(
    st.lists(st.text(max_size=8).filter(lambda text: not set("\r\n") & set(text) and text == text.strip() and text)),
    st.data(),
)
def test_it_does_not_matter_where_the_network_cuts(texts, draw):
    wire = b"".join(f"data: {text}\r\n\r\n".encode() for text in texts)
    cuts = sorted(draw.draw(st.lists(st.integers(0, len(wire)), max_size=6)))
    pieces = [wire[start:end] for start, end in zip([0, *cuts], [*cuts, len(wire)], strict=True)]
    assert fed(*pieces) == [text.encode() for text in texts]


def test_a_huge_event_is_put_together():
    text = b"x" * 3_000_000
    wire = b"data: " + text + b"\n\n"
    assert fed(*(wire[at : at + 65536] for at in range(0, len(wire), 65536))) == [text]


def test_a_line_without_end_is_refused(monkeypatch):
    monkeypatch.setattr(sse, "MOST_BYTES", 1000)
    events = Events()
    events.feed(b"x" * 1000)
    with pytest.raises(EngineError, match="more than 1,000 bytes"):
        events.feed(b"x")
