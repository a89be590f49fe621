import asyncio
import gc
import json
import time
import warnings

import pytest
from loopback import DONE, Upstream, chunk, drawn, event, failed, usage

from poise.core import Ability, Finish, Message, Role, Sampling
from poise.costs import Card, Load, Overrun
from poise.engines.dialect import Dialect
from poise.engines.openai_http import OpenAIHTTP, Timeouts, detect
from poise.errors import (
    ConfigError,
    EngineError,
    EngineOverloaded,
    EngineRefused,
    EngineSilent,
    EngineUnreachable,
)

ASKED = (Message(Role.USER, "2 + 2?"),)
SAMPLING = Sampling(max_tokens=50)
WHOLE = (chunk("It is "), chunk("4"), chunk("", finish="stop"), usage(3), DONE)


class served:
    """An engine and the server that it speaks to, for the length of a test."""

    def __init__(self, script, **options):
        self.upstream, self.options = Upstream(script), options

    async def __aenter__(self):
        await self.upstream.__aenter__()
        self.engine = OpenAIHTTP(self.upstream.url, "m", **self.options)
        return self.engine, self.upstream

    async def __aexit__(self, *exc):
        await self.engine.aclose()
        await self.upstream.__aexit__()


def answering(*pieces):
    async def script(wire):
        await wire.stream(*pieces)

    return script


def endless(sent=None, seconds=0.002):
    """A server that counts what it sends, until the client is gone."""

    async def script(wire):
        await wire.head()
        gone = asyncio.ensure_future(wire.gone())
        while not gone.done():
            await wire.send(chunk("x "))
            if sent is not None:
                sent.append(1)
            await asyncio.sleep(seconds)
        wire.reset()

    return script


async def texts(engine, sampling=SAMPLING, prompt=ASKED, n=1):
    deltas, _ = await drawn(engine.stream(prompt, sampling, n))
    return "".join(delta.text for delta in deltas), deltas


# Answers


async def test_a_draw():
    async with served(answering(*WHOLE), card=Card("card"), api_key="sk-secret") as (engine, upstream):
        deltas, overrun = await drawn(engine.stream(ASKED, SAMPLING))
        wire = upstream.asked[0]
    assert [(d.text, d.tokens, d.finish) for d in deltas] == [("It is ", 1, None), ("4", 1, None), ("", 1, Finish.EOS)]
    assert (deltas[-1].prompt_tokens, overrun) == (7, Overrun(0, exact=True))
    assert (wire.body["model"], wire.body["stream"], wire.headers["authorization"]) == ("m", True, "bearer sk-secret")
    assert (engine.card.name, engine.name) == ("card", "openai")


@pytest.mark.parametrize(
    "wire",
    [
        b"".join(WHOLE),  # several events in one piece
        b"".join(WHOLE).replace(b"\n", b"\r\n"),
        b": hello\n\n" + b"".join(WHOLE),
        b"".join(WHOLE[:-1]),  # no [DONE]
    ],
)
async def test_the_same_answer_in_other_clothes(wire):
    async with served(answering(wire)) as (engine, _):
        text, deltas = await texts(engine)
    assert (text, sum(d.tokens for d in deltas), deltas[-1].prompt_tokens) == ("It is 4", 3, 7)


async def test_bytes_may_be_cut_anywhere():
    whole = b"".join((event({"choices": [{"index": 0, "delta": {"content": "café 中 \U0001f600"}}]}), *WHOLE[2:]))
    whole = json.dumps(json.loads(whole[6 : whole.index(b"\n")]), ensure_ascii=False).encode()
    wire = b"data: " + whole + b"\n\n" + b"".join(WHOLE[2:])
    async with served(answering(*(wire[at : at + 1] for at in range(len(wire))))) as (engine, _):
        assert (await texts(engine))[0] == "café 中 \U0001f600"


async def test_a_huge_event():
    async with served(answering(chunk("x" * 2_000_000), *WHOLE[2:])) as (engine, _):
        assert len((await texts(engine))[0]) == 2_000_000


async def test_several_samples_of_one_prompt():
    pieces = [chunk("a"), chunk("b", 1), chunk("c", 2), chunk("", 1, "stop"), chunk("d", 2), chunk("", 0, "stop")]
    async with served(answering(*pieces, chunk("", 2, "length"), usage(1), DONE)) as (engine, upstream):
        _, deltas = await texts(engine, n=3)
        assert upstream.asked[0].body["n"] == 3
    assert sum(delta.tokens for delta in deltas) == 4
    assert {d.index: d.finish for d in deltas if d.finish} == {0: Finish.EOS, 1: Finish.EOS, 2: Finish.LENGTH}


async def test_an_answer_whose_usage_never_comes(monkeypatch):
    monkeypatch.setattr("poise.engines.call._TAIL_SECONDS", 0.05)

    async def script(wire):
        await wire.head()
        await wire.send(*WHOLE[:3])
        await wire.gone()

    async with served(script) as (engine, _):
        text, deltas = await texts(engine)
    assert (text, deltas[-1].finish, deltas[-1].prompt_tokens) == ("It is 4", Finish.EOS, None)


# Connections


async def test_connections_are_used_again():
    async with served(answering(*WHOLE)) as (engine, upstream):
        for _ in range(20):
            await texts(engine)
        await asyncio.gather(*(texts(engine) for _ in range(4)))
        assert upstream.opened <= 5


async def test_connections_that_the_server_will_close_are_not_used_again():
    async with served(answering(*WHOLE), dialect=Dialect.LLAMACPP) as (engine, upstream):
        for _ in range(3):
            await texts(engine)
        assert upstream.opened == 3


async def test_a_reader_who_leaves_after_the_finish_keeps_the_connection():
    async with served(answering(*WHOLE)) as (engine, upstream):
        for _ in range(5):
            stream = engine.stream(ASKED, SAMPLING)
            async for delta in stream:
                if delta.finish:
                    break
            assert await stream.aclose() == Overrun(0, exact=True)
        assert upstream.opened == 1


def test_an_engine_outlives_its_event_loop():
    async def once(engine, script=answering(*WHOLE)):
        async with Upstream(script) as upstream:
            engine.base_url = upstream.url + "/v1"
            text, _ = await texts(engine)
            await engine.aclose()
        return text

    engine = OpenAIHTTP("http://127.0.0.1:1", "m")
    assert [asyncio.run(once(engine)) for _ in range(2)] == ["It is 4", "It is 4"]


async def test_load_counts_samples_in_flight():
    async with served(endless(), slots=4) as (engine, _):
        streams = [engine.stream(ASKED, SAMPLING, n) for n in (1, 2, 3)]
        assert engine.load() == Load(0, 0, 4)
        for stream in streams:
            await anext(aiter(stream))
        assert engine.load() == Load(4, 2, 4)
        for stream in streams:
            await stream.aclose()
        assert engine.load() == Load(0, 0, 4)


# Closing


async def test_closing_a_stream_closes_the_connection_at_once():
    sent = []
    async with served(endless(sent)) as (engine, upstream):
        stream = engine.stream(ASKED, SAMPLING)
        async for _ in stream:
            if len(sent) >= 5:
                break
        began = time.perf_counter()
        await stream.aclose()
        await asyncio.gather(*upstream.tasks)
        assert time.perf_counter() - began < 0.1


async def test_what_was_sent_and_not_delivered_is_counted():
    async with served(endless(sent := [])) as (engine, _):
        stream, seen = engine.stream(ASKED, SAMPLING), 0
        async for delta in stream:
            seen += delta.tokens
            await asyncio.sleep(0.03)  # the server is faster
            if seen >= 3:
                break
        overrun = await stream.aclose()
    assert overrun.tokens > 3
    assert (seen + overrun.tokens, overrun.exact) == (len(sent), True)


async def test_a_cancelled_task_bills_all_that_was_sent():
    async with served(endless(sent := [], 0.0005)) as (engine, _):
        got = []

        async def read(stream):
            async for delta in stream:
                got.append(delta)

        overruns = []
        for milliseconds in range(20, 40):
            stream = engine.stream(ASKED, SAMPLING)
            task = asyncio.create_task(read(stream))
            await asyncio.sleep(milliseconds / 1000)
            task.cancel()
            await asyncio.wait([task])
            overruns.append(await stream.aclose())
    billed = sum(delta.tokens for delta in got) + sum(overrun.tokens for overrun in overruns)
    assert len(sent) > 100
    assert abs(billed - len(sent)) <= 0.01 * len(sent)


async def test_half_a_connection_is_not_used_again():
    async with served(answering(*WHOLE)) as (engine, upstream):
        for _ in range(3):
            stream = engine.stream(ASKED, SAMPLING)
            await anext(aiter(stream))
            assert await stream.aclose() == Overrun(2, exact=True)  # the whole answer came
        assert (await texts(engine))[0] == "It is 4"
        assert upstream.opened == 4


async def test_a_server_that_will_not_let_go_is_left():
    async def script(wire):
        await wire.head()
        for _ in range(50):
            await wire.send(chunk("x "))
            await asyncio.sleep(0.01)

    async with served(script) as (engine, _):
        stream = engine.stream(ASKED, SAMPLING)
        await anext(aiter(stream))
        began = time.perf_counter()
        overrun = await stream.aclose()
        assert 0.05 <= time.perf_counter() - began < 0.3
    assert not overrun.exact


async def test_a_stop_string_found_here_closes_the_stream():
    async def script(wire):
        await wire.head()
        await wire.send(chunk("one"), chunk("\n"), chunk("two"))
        await wire.gone()
        wire.reset()

    async with served(script) as (engine, _):
        deltas, overrun = await drawn(engine.stream(ASKED, Sampling(stop=("\n",))))
    assert ("".join(d.text for d in deltas), deltas[-1].finish) == ("one\n", Finish.DELIMITER)
    assert (sum(d.tokens for d in deltas), overrun) == (2, Overrun(1, exact=True))


async def test_tokens_computed_and_never_sent_are_an_estimate():
    async with served(endless(), dialect=Dialect.LLAMACPP) as (engine, _):
        stream = engine.stream(ASKED, SAMPLING)
        async for _ in stream:
            break
        assert not (await stream.aclose()).exact


async def test_closing_the_engine_breaks_what_is_under_way():
    async with served(endless()) as (engine, _):
        stream = engine.stream(ASKED, SAMPLING)
        await anext(aiter(stream))
        asyncio.get_running_loop().call_later(0.02, lambda: asyncio.ensure_future(engine.aclose()))
        await failed(stream, EngineUnreachable)
        assert engine.load().in_flight == 0


async def test_nothing_is_left_behind():
    async with served(endless()) as (engine, upstream):
        for leave in range(6):
            stream = engine.stream(ASKED, SAMPLING)
            task = asyncio.ensure_future(anext(aiter(stream)))
            for _ in range(leave):
                await asyncio.sleep(0.001)
            task.cancel()
            await asyncio.wait([task])
            await stream.aclose()
        del stream, task
        await asyncio.sleep(0.02)
        mine = {task for task in asyncio.all_tasks() if task not in upstream.tasks}
        assert mine == {asyncio.current_task()}
        assert engine.load() == Load()
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            gc.collect()
        assert [str(one.message) for one in caught if issubclass(one.category, ResourceWarning)] == []


# What goes wrong


async def test_nobody_listens():
    engine = OpenAIHTTP("http://127.0.0.1:1", "m")
    failure = await failed(engine.stream(ASKED, SAMPLING), EngineUnreachable)
    assert "no connection" in str(failure)
    assert failure.retryable
    await engine.aclose()


@pytest.mark.parametrize("spoken", [(), (chunk("a"), chunk("b"))])
async def test_silence(spoken):
    async def script(wire):
        if spoken:
            await wire.head()
            await wire.send(*spoken)
        await wire.gone()

    timeouts = Timeouts(first_byte=0.2, idle=0.3)
    async with served(script, timeouts=timeouts) as (engine, _):
        began = time.perf_counter()
        failure = await failed(engine.stream(ASKED, SAMPLING), EngineSilent)
        seconds = time.perf_counter() - began
    limit = 0.3 if spoken else 0.2
    assert limit * 0.9 <= seconds <= limit * 1.1 + 0.1  # and a busy machine
    assert f"{limit:g} s" in str(failure)


async def test_comments_are_no_first_event_and_no_silence():
    async def script(wire):
        await wire.head()
        for _ in range(8):
            await wire.send(b": wait\n\n")
            await asyncio.sleep(0.05)
        await wire.send(*WHOLE)
        await wire.end()

    async with served(script, timeouts=Timeouts(first_byte=0.2)) as (engine, _):
        await failed(engine.stream(ASKED, SAMPLING), EngineSilent)
    async with served(script, timeouts=Timeouts(idle=0.2)) as (engine, _):
        assert (await texts(engine))[0] == "It is 4"


@pytest.mark.parametrize(
    ("status", "body", "content_type", "error", "said"),
    [
        (401, b'{"error": {"message": "Incorrect key sk-secret"}}', "application/json", EngineRefused, "key ***"),
        (404, b'{"error": {"message": "no such model"}}', "application/json", EngineRefused, "no such model"),
        (400, b"\xff" * 100_000, "text/plain", EngineRefused, "HTTP 400"),
        (429, b"slow down", "text/plain", EngineOverloaded, "slow down"),
        (502, b"<html><h1>Bad Gateway</h1></html>", "text/html", EngineError, "HTTP 502 Bad Gateway"),
        (307, b"", "text/plain", EngineRefused, "HTTP 307"),
        (200, b'{"choices": []}', "application/json", EngineError, 'it sent application/json: {"choices": []}'),
        (200, b'{"error": "no slots"}', "application/json", EngineError, "the server did not stream: no slots"),
        (200, b"<html><p>Log in, sk-secret</p></html>", "text/html", EngineError, "it sent text/html: Log in, ***"),
        (200, b"<p>" + b"x" * 100_000, "text/html", EngineError, "the URL may be wrong"),
        (200, b"", "text/html", EngineError, "it sent text/html: nothing"),
    ],
)
async def test_refusals(status, body, content_type, error, said):
    async def script(wire):
        await wire.refuse(status, body, content_type, Retry_After="3")

    async with served(script, api_key="sk-secret") as (engine, _):
        failure = await failed(engine.stream(ASKED, SAMPLING), error)
        assert type(failure) is error
        assert said in str(failure)
        assert "sk-secret" not in str(failure) + repr(failure)
        assert len(str(failure)) < 400
        assert getattr(failure, "retry_after", 3.0) == 3.0


@pytest.mark.parametrize(
    ("pieces", "error"),
    [
        ((chunk("a"), event({"error": {"message": "ran out of memory", "code": 500}})), EngineError),
        ((chunk("a"), event(b"{not json")), EngineError),
        ((chunk("a"), DONE), EngineUnreachable),
        ((chunk("a"),), EngineUnreachable),
        ((), EngineUnreachable),
    ],
)
async def test_answers_that_break_off(pieces, error):
    async with served(answering(*pieces)) as (engine, _):
        assert type(await failed(engine.stream(ASKED, SAMPLING), error)) is error


async def test_a_connection_that_breaks():
    async def script(wire):
        await wire.head()
        await wire.send(chunk("a"))
        await asyncio.sleep(0.02)
        wire.reset()

    async with served(script) as (engine, _):
        stream = engine.stream(ASKED, SAMPLING)
        assert (await anext(aiter(stream))).text == "a"
        with pytest.raises(EngineUnreachable, match="broke"):
            await anext(aiter(stream))
        assert not (await stream.aclose()).exact


async def test_what_an_engine_cannot_do_is_refused_before_it_is_asked():
    async with served(answering(*WHOLE), abilities=frozenset()) as (engine, upstream):
        refused = [
            engine.stream((*ASKED, Message(Role.ASSISTANT, "It")), SAMPLING),
            engine.stream(ASKED, SAMPLING, 2),
            engine.stream(ASKED, Sampling(top_logprobs=1)),
        ]
        for stream in refused:
            assert "cannot" in str(await failed(stream, EngineRefused))
        await texts(engine, Sampling(seed=3))
        assert [wire.body.get("seed") for wire in upstream.asked] == [None]


# Settings


@pytest.mark.parametrize(
    ("given", "used"),
    [
        ("http://h:8000", "http://h:8000/v1"),
        ("http://h:8000/", "http://h:8000/v1"),
        ("https://h/v1/", "https://h/v1"),
        ("https://h/openai/v1", "https://h/openai/v1"),
        ("https://h/v1beta/openai/", "https://h/v1beta/openai"),
        ("http://[::1]:80/proxy", "http://[::1]:80/proxy/v1"),
    ],
)
def test_urls(given, used):
    assert OpenAIHTTP(given, "m").base_url == used


@pytest.mark.parametrize(
    "url",
    ["", "h:8000", "ftp://h", "http://", "http://h:99999", "http://h/v1?key=1", "http://h h/", "http://u:pw@h/v1"],
)
def test_urls_that_cannot_work(url):
    with pytest.raises(ConfigError, match="base_url") as caught:
        OpenAIHTTP(url, "m")
    assert "pw" not in str(caught.value)


def test_keys_stay_secret():
    engine = OpenAIHTTP("http://h", "m", api_key="sk-secret")
    assert "sk-secret" not in repr(engine)
    for bad in ("", "a b", "a\nb", "clé"):
        with pytest.raises(ConfigError, match="api_key") as caught:
            OpenAIHTTP("http://h", "m", api_key=bad)
        assert repr(bad) not in str(caught.value)


def test_abilities_come_from_the_dialect_or_from_the_user():
    assert OpenAIHTTP("http://h", "m").can == {Ability.LOGPROBS, Ability.N_SAMPLES}
    assert Ability.CONTINUES in OpenAIHTTP("http://h", "m", dialect=Dialect.VLLM).can
    assert OpenAIHTTP("http://h", "m", dialect=Dialect.VLLM, abilities=frozenset()).can == frozenset()
    assert OpenAIHTTP("http://h", "m").card.name == "m"


@pytest.mark.parametrize(
    ("owner", "dialect"),
    [
        ("vllm", Dialect.VLLM),
        ("sglang", Dialect.SGLANG),
        ("llamacpp", Dialect.LLAMACPP),
        ("system", Dialect.OPENAI),
    ],
)
async def test_detect(owner, dialect):
    async def script(wire):
        await wire.refuse(200, json.dumps({"data": [{"id": "m", "owned_by": owner}]}).encode())

    async with Upstream(script) as upstream:
        assert await detect(upstream.url) is dialect


async def test_detect_fails_like_a_draw():
    async def script(wire):
        await wire.refuse(403, b'{"error": "no"}')

    async with Upstream(script) as upstream:
        with pytest.raises(EngineRefused, match="no"):
            await detect(upstream.url, api_key="sk-secret")
    with pytest.raises(EngineUnreachable):
        await detect("http://127.0.0.1:1")
