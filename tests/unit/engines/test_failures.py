import json
from email.utils import formatdate

import pytest

from poise.engines.failures import failure_of_answer, failure_of_event, retry_after, said_in
from poise.errors import EngineError, EngineOverloaded, EngineRefused


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, EngineRefused),
        (401, EngineRefused),
        (403, EngineRefused),
        (404, EngineRefused),
        (422, EngineRefused),
        (302, EngineRefused),
        (408, EngineError),
        (429, EngineOverloaded),
        (503, EngineOverloaded),
        (529, EngineOverloaded),
        (500, EngineError),
        (502, EngineError),
    ],
)
def test_a_status_has_its_error(status, error):
    failure = failure_of_answer(status, {}, b'{"error": {"message": "because"}}')
    assert type(failure) is error
    assert str(failure) == f"HTTP {status} because"


def test_an_empty_quota_is_not_waited_for():
    body = json.dumps({"error": {"message": "You exceeded your quota", "code": "insufficient_quota"}}).encode()
    assert type(failure_of_answer(429, {"Retry-After": "1"}, body)) is EngineRefused


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"error": {"message": "no", "code": 3}}', "no"),
        ('{"error": "no"}', "no"),
        ('{"message": "no"}', "no"),
        ('{"detail": [{"loc": ["body"], "msg": "field required"}]}', "[{'loc': ['body'], 'msg': 'field required'}]"),
        ('{"error": {}}', ""),
        ("<html><head><style>p {}</style></head>\n<h1>502 Bad\nGateway</h1></html>", "502 Bad Gateway"),
        ("", ""),
        ("null", ""),
        ("x" * 1000, "x" * 300),
    ],
)
def test_the_human_part_is_found(text, said):
    assert said_in(text) == said


def test_a_body_of_any_bytes_does_no_harm():
    assert str(failure_of_answer(500, {}, b"\xff\xfe\x00<")).startswith("HTTP 500")


def test_errors_inside_a_stream():
    assert type(failure_of_event({"message": "full", "code": 429})) is EngineOverloaded
    assert type(failure_of_event({"message": "bad", "code": 400})) is EngineRefused
    assert type(failure_of_event({"message": "oops", "code": "weird"})) is EngineError
    assert "oops" in str(failure_of_event("oops"))
    assert "without a message" in str(failure_of_event({"code": 500}))


@pytest.mark.parametrize(
    ("header", "seconds"), [("2", 2.0), ("0.5", 0.5), ("-3", 0.0), (None, None), ("", None), ("soon", None)]
)
def test_retry_after_in_seconds(header, seconds):
    assert retry_after(header) == seconds


def test_retry_after_as_a_date():
    assert retry_after(formatdate(4102444800, usegmt=True)) > 1e6
    assert retry_after("Wed, 21 Oct 2015 07:28:00 GMT") == 0.0


def test_retry_after_is_on_the_error():
    failure = failure_of_answer(429, {"Retry-After": "7"}, b"")
    assert isinstance(failure, EngineOverloaded)
    assert failure.retry_after == 7.0
