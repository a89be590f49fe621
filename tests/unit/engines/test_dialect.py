import pytest

from poise.core import Ability, Message, Role, Sampling
from poise.engines.dialect import Dialect, chat_body, continues

ASKED = (Message(Role.SYSTEM, "Be brief."), Message(Role.USER, "2 + 2?"))


def body(prompt=ASKED, dialect=Dialect.OPENAI, n=1, seeded=True, **sampling):
    return chat_body("m", prompt, Sampling(**sampling), n, dialect, seeded)


def test_the_common_api_gets_nothing_else():
    assert body(temperature=0.5, top_p=0.9, max_tokens=5) == {
        "model": "m",
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "2 + 2?"}],
        "stream": True,
        "stream_options": {"include_usage": True},
        "temperature": 0.5,
        "top_p": 0.9,
        "max_tokens": 5,
    }


@pytest.mark.parametrize("dialect", Dialect)
def test_samples_seeds_and_logprobs(dialect):
    asked = body(dialect=dialect, n=3, seed=4, top_logprobs=0)
    assert (asked["n"], asked["seed"], asked["logprobs"], asked["top_logprobs"]) == (3, 4, True, 1)
    assert body(dialect=dialect, top_logprobs=5)["top_logprobs"] == 5
    assert "seed" not in body(dialect=dialect, seed=4, seeded=False)
    assert not {"n", "seed", "logprobs", "stop"} & set(body(dialect=dialect))


@pytest.mark.parametrize("dialect", Dialect)
def test_stop_strings_go_only_to_servers_that_say_which_one_they_met(dialect):
    sent = body(dialect=dialect, stop=("\n", ";")).get("stop")
    assert sent == (None if dialect is Dialect.OPENAI else ["\n", ";"])


@pytest.mark.parametrize("dialect", set(Dialect) - {Dialect.OPENAI})
def test_a_trailing_assistant_message_is_continued(dialect):
    assert Ability.CONTINUES in dialect.traits.can
    asked = body((*ASKED, Message(Role.ASSISTANT, "It is")), dialect)
    assert (asked["continue_final_message"], asked["add_generation_prompt"]) == (True, False)
    assert "continue_final_message" not in body(dialect=dialect)


def test_an_empty_prefix_is_no_prefix():
    empty = (*ASKED, Message(Role.ASSISTANT, ""))
    assert not continues(empty)
    assert body(empty) == body()


@pytest.mark.parametrize("dialect", set(Dialect) - {Dialect.OPENAI})
def test_a_server_is_asked_to_count_and_not_to_truncate(dialect):
    asked = body(dialect=dialect)
    assert asked["stream_options"].get("continuous_usage_stats") or asked["timings_per_token"]
    assert asked.get("top_k") == -1 or asked["top_k"] >= 1_000
