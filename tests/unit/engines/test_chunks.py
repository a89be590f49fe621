import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from poise.core import Finish, Sampling
from poise.engines.chunks import Decoder
from poise.engines.dialect import Dialect
from poise.errors import EngineError, EngineOverloaded, EngineRefused, EngineUnreachable


def decoded(chunks, dialect=Dialect.OPENAI, n=1, **sampling):
    """All deltas of these chunks, the held one included."""
    decoder = Decoder(dialect.traits, Sampling(**sampling), n)
    deltas = [delta for chunk in chunks for delta in decoder.decode(json.dumps(chunk).encode())]
    return deltas + decoder.end(), decoder


def said(text, finish=None, index=0, choice=None, **chunk):
    return {
        "choices": [{"index": index, "delta": {"content": text}, "finish_reason": finish, **(choice or {})}],
        **chunk,
    }


def used(completion_tokens, **usage):
    return {"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": completion_tokens, **usage}}


def text(deltas, index=0):
    return "".join(delta.text for delta in deltas if delta.index == index)


def tokens(deltas):
    return sum(delta.tokens for delta in deltas)


def test_a_plain_stream():
    role = {"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}]}
    deltas, decoder = decoded([role, said("a "), said("b"), said("", "stop"), used(2)])
    assert [(d.text, d.tokens, d.finish) for d in deltas] == [("a ", 1, None), ("b", 1, None), ("", 0, Finish.EOS)]
    assert (deltas[-1].prompt_tokens, deltas[-1].cached_tokens) == (9, None)
    assert decoder.generated == 2


def test_the_usage_of_one_sample_sets_the_count_right():
    deltas, _ = decoded([said("a b c"), said("", "length"), used(5, prompt_tokens_details={"cached_tokens": 8})])
    assert (deltas[-1].tokens, tokens(deltas)) == (4, 5)
    assert (deltas[-1].finish, deltas[-1].cached_tokens) == (Finish.LENGTH, 8)


def test_a_usage_may_come_with_the_finish():
    deltas, decoder = decoded([said("a b"), said("", "stop", usage={"prompt_tokens": 9, "completion_tokens": 3})])
    assert (tokens(deltas), deltas[-1].prompt_tokens, decoder.generated) == (3, 9, 3)


def test_a_count_is_never_taken_back():
    deltas, _ = decoded([said("a"), said("b"), said("", "stop"), used(1)])
    assert tokens(deltas) == 2


def test_the_usage_of_several_samples_is_not_believed():
    chunks = [said("a"), said("b", index=1), said("", "stop", index=1), said("c"), said("", "length"), used(1)]
    deltas, _ = decoded(chunks, n=2)
    assert tokens(deltas) == 3
    assert {d.index: d.finish for d in deltas if d.finish} == {0: Finish.LENGTH, 1: Finish.EOS}
    assert [d.prompt_tokens for d in deltas if d.prompt_tokens is not None] == [9]


def test_without_a_usage_pieces_are_counted():
    deltas, _ = decoded([said("a"), said("b", "stop")])
    assert (tokens(deltas), deltas[-1].text, deltas[-1].prompt_tokens) == (2, "b", None)


def test_logprobs_count_tokens_and_are_kept():
    entries = [
        {"token": "a", "logprob": -0.5, "top_logprobs": [{"logprob": -0.5}, {"logprob": -1.5}]},
        {"token": "b", "logprob": -2.0, "top_logprobs": [{"logprob": -0.1}, {"logprob": -2.0}]},
    ]
    chunks = [said("ab", choice={"logprobs": {"content": entries}}), said("", "stop", choice={"logprobs": None})]
    deltas, _ = decoded(chunks, top_logprobs=2)
    assert (deltas[0].tokens, deltas[0].logprobs) == (2, (-0.5, -2.0))
    assert deltas[0].alternatives == ((-0.5, -1.5), (-0.1, -2.0))
    assert decoded(chunks, top_logprobs=0)[0][0].alternatives == ()


def test_reasoning_is_counted_and_not_shown():
    reasoning = {"choices": [{"index": 0, "delta": {"reasoning_content": "hm"}, "finish_reason": None}]}
    deltas, _ = decoded([reasoning, reasoning, said("4"), said("", "stop")])
    assert (text(deltas), tokens(deltas)) == ("4", 3)


def test_halves_of_a_character():
    deltas, _ = decoded([said("\ud83d\ude00"), said("caf\u00e9 \ud83d"), said("", "stop")])
    assert text(deltas) == "\U0001f600café \ufffd"


# Stop strings that the server looks for and cuts off


@pytest.mark.parametrize(
    ("dialect", "told"),
    [
        (Dialect.VLLM, {"choice": {"stop_reason": "\n\n"}}),
        (Dialect.SGLANG, {"choice": {"matched_stop": "\n\n"}}),
        (Dialect.LLAMACPP, {"__verbose": {"stopping_word": "\n\n", "tokens_predicted": 2}}),
    ],
)
def test_a_stop_string_cut_off_by_the_server_is_put_back(dialect, told):
    deltas, _ = decoded([said("a"), said("", "stop", **told), used(2)], dialect, stop=("x", "\n\n"))
    assert (text(deltas), deltas[-1].finish, tokens(deltas)) == ("a\n\n", Finish.DELIMITER, 2)


@pytest.mark.parametrize(
    ("dialect", "told"),
    [
        (Dialect.VLLM, {"choice": {"stop_reason": None}}),
        (Dialect.VLLM, {"choice": {"stop_reason": 128009}}),
        (Dialect.SGLANG, {"choice": {"matched_stop": 2}}),
        (Dialect.LLAMACPP, {"__verbose": {"stopping_word": "", "tokens_predicted": 2}}),
    ],
)
def test_an_end_token_is_not_a_stop_string(dialect, told):
    deltas, _ = decoded([said("a"), said("", "stop", **told), used(2)], dialect, stop=("\n\n",))
    assert (text(deltas), deltas[-1].finish) == ("a", Finish.EOS)


def test_a_server_that_does_not_say_is_found_out():
    with pytest.raises(EngineError, match="stopping_word is missing"):
        decoded([said("a"), said("", "stop")], Dialect.LLAMACPP, stop=("\n\n",))
    assert decoded([said("a"), said("", "stop")], Dialect.LLAMACPP)[0][-1].finish is Finish.EOS


# Stop strings that only we look for


def test_a_stop_string_ends_the_text():
    deltas, decoder = decoded([said("one "), said("two;"), said(";three"), said("x")], stop=("##", ";;"))
    assert (text(deltas), deltas[-1].finish) == ("one two;;", Finish.DELIMITER)
    assert decoder.ended
    assert (tokens(deltas), decoder.generated) == (3, 4)


def test_the_usage_does_not_bill_twice_what_came_after_a_stop_string():
    deltas, decoder = decoded([said("a;"), said("b"), said("", "stop"), used(3)], stop=(";",))
    assert (tokens(deltas), decoder.generated) == (2, 3)


def test_one_of_several_samples_meets_a_stop_string():
    chunks = [said("a;b", index=1), said("c"), said("d", index=1), said("", "stop"), said("", "stop", index=1)]
    deltas, decoder = decoded(chunks, n=2, stop=(";",))
    assert (text(deltas, 0), text(deltas, 1)) == ("c", "a;")
    assert {d.index: d.finish for d in deltas if d.finish} == {0: Finish.EOS, 1: Finish.DELIMITER}
    assert (tokens(deltas), decoder.generated) == (2, 3)


@given(
    st.text(alphabet="ab;", max_size=20),
    st.lists(st.sampled_from([";", ";;", "ab", "ba;", "aaa"]), min_size=1, max_size=3),
    st.lists(st.integers(1, 4), min_size=20, max_size=20),
)
def test_stop_strings_are_found_however_the_text_is_cut(whole, stops, sizes):
    pieces, at = [], 0
    for size in sizes:
        pieces.append(whole[at : at + size])
        at += size
    deltas, _ = decoded([*map(said, pieces), said("", "stop")], stop=tuple(stops))
    ends = [whole.index(stop) + len(stop) for stop in stops if stop in whole]
    assert text(deltas) == (whole[: min(ends)] if ends else whole)
    assert deltas[-1].finish is (Finish.DELIMITER if ends else Finish.EOS)


# Servers that count


def test_llamacpp_counts_every_chunk_and_the_prompt_at_once():
    timings = {"cache_n": 24, "prompt_n": 9}
    verbose = {"stopping_word": "", "tokens_predicted": 5}
    entry = {"id": 11, "token": "a", "logprob": -1.0, "top_logprobs": [{"logprob": -1.0}]}
    chunks = [
        said(None),
        said("a", timings={**timings, "predicted_n": 1}, choice={"logprobs": {"content": [entry]}}),
        said("bc", timings={**timings, "predicted_n": 4}),
        said(None, "stop", __verbose=verbose),
        {**used(5), "timings": {**timings, "predicted_n": 5}},
    ]
    deltas, _ = decoded(chunks, Dialect.LLAMACPP, top_logprobs=1)
    assert [d.tokens for d in deltas] == [1, 3, 1]
    assert (deltas[0].prompt_tokens, deltas[0].cached_tokens, deltas[0].token_ids) == (33, 24, (11,))
    assert deltas[-1].prompt_tokens is None


def test_llamacpp_sends_a_usage_for_each_sample():
    verbose = {"stopping_word": "", "tokens_predicted": 3}
    chunks = [
        said("a", index=1, timings={"cache_n": 0, "prompt_n": 9, "predicted_n": 1}),
        said(None, "stop", index=1, __verbose=verbose),
        used(3),
        said("b", timings={"cache_n": 0, "prompt_n": 9, "predicted_n": 1}),
        said(None, "stop", __verbose=verbose),
        used(3),
    ]
    deltas, _ = decoded(chunks, Dialect.LLAMACPP, n=2)
    assert (tokens(deltas), sum(d.prompt_tokens or 0 for d in deltas)) == (6, 9)


def test_vllm_counts_by_sample():
    def at(count):
        return {"usage": {"prompt_tokens": 9, "completion_tokens": count}}

    chunks = [
        said("", **at(0)),
        said("a", choice={"token_ids": [5]}, **at(1)),
        said("b", index=1, choice={"token_ids": [6, 7]}, **at(2)),
        said("", **at(3)),
        said("c", "stop", choice={"stop_reason": None}, **at(4)),
        said("", "length", index=1, choice={"stop_reason": None}, **at(2)),
        used(6, prompt_tokens_details={"cached_tokens": 4}),
    ]
    deltas, _ = decoded(chunks, Dialect.VLLM, n=2)
    assert [(d.index, d.tokens) for d in deltas] == [(0, 1), (1, 2), (0, 2), (0, 1), (1, 0)]
    assert [d.token_ids for d in deltas[:2]] == [(5,), (6, 7)]
    assert (deltas[0].prompt_tokens, deltas[0].cached_tokens) == (9, None)
    assert (deltas[-1].prompt_tokens, deltas[-1].cached_tokens) == (None, 4)


# What goes wrong


@pytest.mark.parametrize(
    "data",
    [
        b"{",
        b"\xff",
        b"[]",
        b"3",
        b'{"choices": 3}',
        b'{"choices": [{"index": 7}]}',
        b'{"choices": [{"delta": "x"}]}',
        b'{"usage": {"completion_tokens": "many"}}',
        b"[" * 100_000,
    ],
)
def test_what_is_no_chunk_is_an_error(data):
    with pytest.raises(EngineError, match="no chunk"):
        Decoder(Dialect.OPENAI.traits, Sampling(), 1).decode(data)


def test_errors_that_the_server_reports():
    decoder = Decoder(Dialect.OPENAI.traits, Sampling(), 1)
    with pytest.raises(EngineOverloaded, match="full"):
        decoder.decode(b'{"error": {"message": "full", "code": 503}}')
    with pytest.raises(EngineRefused, match="content filter"):
        decoded([said("", "content_filter")])
    with pytest.raises(EngineError, match="abort"):
        decoded([said("", "abort")])
    assert decoded([said("a", "stop", error=None)])[0]


def test_a_stream_without_a_finish_is_an_error():
    with pytest.raises(EngineUnreachable, match="ended before"):
        decoded([said("a")])


KEYS = ("choices", "index", "delta", "content", "finish_reason", "logprobs", "usage", "completion_tokens", "timings")
KEYS += ("predicted_n", "cache_n", "prompt_n", "__verbose", "stopping_word", "tokens_predicted", "error", "token_ids")
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from(["", "stop", "length", "a;b", "\ud83d"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4),
    max_leaves=12,
)


@given(st.lists(VALUES, max_size=3), st.sampled_from([Dialect.OPENAI, Dialect.LLAMACPP]))
def test_nonsense_is_an_error_of_ours(chunks, dialect):
    decoder = Decoder(dialect.traits, Sampling(stop=(";",), top_logprobs=1), 2)
    try:
        deltas = [delta for chunk in chunks for delta in decoder.decode(json.dumps(chunk).encode())] + decoder.end()
    except EngineError:
        deltas = []
    for delta in deltas:
        assert isinstance(delta.text, str)
        assert isinstance(delta.tokens, int)
        assert delta.tokens >= 0
        assert isinstance(delta.prompt_tokens, int | None)
    assert decoder.generated >= 0
