"""What each kind of OpenAI-compatible server can do."""

from __future__ import annotations

from enum import Enum


class Dialect(Enum):
    """A kind of OpenAI-compatible server."""

    OPENAI = "openai"
    VLLM = "vllm"
    SGLANG = "sglang"
    LLAMACPP = "llamacpp"
