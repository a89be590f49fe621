"""What each kind of OpenAI-compatible server can do, and how to ask it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from poise.core import Ability, Prompt, Role, Sampling


class Dialect(Enum):
    """A kind of OpenAI-compatible server. OPENAI asks for nothing that is not in the common API."""

    OPENAI = "openai"
    VLLM = "vllm"
    SGLANG = "sglang"
    LLAMACPP = "llamacpp"

    @property
    def traits(self) -> Traits:
        """What is known of this kind."""
        return _TRAITS[self]


@dataclass(frozen=True, slots=True)
class Traits:
    """What a kind of server does beyond the common API.

    `counts`: every chunk says how many tokens its sample has. `stop_field`: the field of the last chunk that says which
    stop string ended the sample (None: nobody says, so stop strings are found on our side and the stream is closed
    there). `unsent`: tokens by which a sample goes on, on average, after the server has noticed that we closed, and
    which it sends to nobody. `reuse`: a connection serves more than one call. `extra` and `stream_extra` are put into
    the request and its stream_options."""

    can: frozenset[Ability]
    counts: bool = False
    stop_field: str | None = None
    unsent: float = 0.0
    reuse: bool = True
    extra: Mapping[str, Any] = field(default_factory=dict)
    stream_extra: Mapping[str, Any] = field(default_factory=dict)


_COMMON = frozenset({Ability.LOGPROBS, Ability.N_SAMPLES})
# Servers truncate the distribution by default (top 40 tokens, the model's own settings); a draw is what Sampling says.
_UNTRUNCATED = {"top_k": -1, "min_p": 0.0, "repetition_penalty": 1.0}

_TRAITS = {
    Dialect.OPENAI: Traits(can=_COMMON),
    Dialect.VLLM: Traits(
        can=_COMMON | {Ability.CONTINUES, Ability.SEEDS},
        counts=True,
        stop_field="stop_reason",
        unsent=1.0,
        extra={**_UNTRUNCATED, "return_token_ids": True},
        stream_extra={"continuous_usage_stats": True},
    ),
    Dialect.SGLANG: Traits(  # seeds count only on servers started in deterministic mode
        can=_COMMON | {Ability.CONTINUES},
        counts=True,
        stop_field="matched_stop",
        unsent=1.0,
        extra=_UNTRUNCATED,
        stream_extra={"continuous_usage_stats": True},
    ),
    Dialect.LLAMACPP: Traits(
        can=_COMMON | {Ability.CONTINUES, Ability.SEEDS},
        counts=True,
        stop_field="stopping_word",
        unsent=0.5,  # measured: none or one
        reuse=False,  # it promises to, and closes after every stream
        # temperature before top_p, as everywhere else; without top_k its sampler walks the whole vocabulary for every
        # token, a tenth of the throughput of a small model; `verbose` tells the stop word and counts the last token
        extra={
            "samplers": ["top_k", "temperature", "top_p"],
            "top_k": 1_000,
            "timings_per_token": True,
            "verbose": True,
        },
    ),
}


def chat_body(model: str, prompt: Prompt, sampling: Sampling, n: int, dialect: Dialect, seeded: bool) -> dict[str, Any]:
    """The JSON of one /chat/completions call. An empty assistant message at the end says nothing and is dropped."""
    traits = dialect.traits
    if prompt and prompt[-1].role is Role.ASSISTANT and not prompt[-1].text:
        prompt = prompt[:-1]
    body: dict[str, Any] = {
        "model": model,
        "messages": [{"role": message.role.value, "content": message.text} for message in prompt],
        "stream": True,
        "stream_options": {"include_usage": True, **traits.stream_extra},
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "max_tokens": sampling.max_tokens,
        **traits.extra,
    }
    if n > 1:
        body["n"] = n
    if sampling.stop and traits.stop_field:
        body["stop"] = list(sampling.stop)
    if seeded and sampling.seed is not None:
        body["seed"] = sampling.seed
    if sampling.top_logprobs is not None:
        body |= {"logprobs": True, "top_logprobs": max(1, sampling.top_logprobs)}  # llama.cpp gives none for 0
    if continues(prompt):
        body |= {"continue_final_message": True, "add_generation_prompt": False}
    return body


def continues(prompt: Prompt) -> bool:
    """Whether the prompt ends in a prefix that the engine has to continue."""
    return bool(prompt) and prompt[-1].role is Role.ASSISTANT and bool(prompt[-1].text)
