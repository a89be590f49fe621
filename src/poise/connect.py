"""Engines from their specs."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import Any

from poise.config import EngineSpec, thinking_of
from poise.errors import ConfigError, UnknownName
from poise.seams import Engine


def connect(spec: EngineSpec, name: str = "main") -> Engine:
    """The engine a spec describes; nothing is started or sent before its first draw.

    Raises UnknownName, ConfigError, and ModelError where weights cannot be had."""
    engine = _engine(spec, name)
    if spec.cache:
        from poise.engines.cache import cached

        engine = cached(engine, Path(spec.cache))
    return engine


def _engine(spec: EngineSpec, name: str) -> Engine:
    if spec.thinking and spec.kind != "quiet-star":
        raise ConfigError("engine.thinking", spec.thinking, f"an engine of kind quiet-star, not {spec.kind}")
    if spec.kind == "scripted":
        from poise.engines.scripted import Scripted

        return Scripted(name=name)
    if spec.kind == "openai":
        return _server(spec, name)
    if spec.kind == "llamacpp":
        from poise.engines.llamacpp import LlamaCpp

        return LlamaCpp(spec.model, name=name, slots=spec.slots, context=spec.context, threads=spec.threads)
    if spec.kind == "replay":
        from poise.engines.replay import Replay

        return Replay(Path(spec.model), name=name)
    if spec.kind in ("torch", "quiet-star"):
        return _torch(spec, name)
    raise UnknownName("engine.kind", spec.kind, ("llamacpp", "openai", "quiet-star", "replay", "scripted", "torch"))


def _torch(spec: EngineSpec, name: str) -> Engine:
    if importlib.util.find_spec("transformers") is None:
        raise ConfigError("engine.kind", spec.kind, 'pip install "poise[torch]"')
    import torch

    from poise.engines.quiet_star_lm import QuietStarLM
    from poise.engines.torch_lm import TorchLM

    if spec.threads:
        torch.set_num_threads(spec.threads)
    if spec.kind == "quiet-star":
        thinking, base = thinking_of(spec.thinking), "" if spec.model == "default" else spec.model
        knobs: dict[str, Any] = {"name": name, "slots": spec.slots, "context": spec.context}
        return QuietStarLM(spec.adapter, base=base, thinking=thinking, **knobs)
    return TorchLM(spec.model, name=name, slots=spec.slots, context=spec.context, adapter=spec.adapter)


def _server(spec: EngineSpec, name: str) -> Engine:
    from poise.engines.dialect import Dialect
    from poise.engines.limit import limited
    from poise.engines.openai_http import OpenAIHTTP
    from poise.engines.retry import retrying

    if not spec.model:
        raise ConfigError("engine.model", spec.model, "the name of the model on that server (--model)")
    if spec.key and spec.key not in os.environ:
        raise ConfigError("engine.key", spec.key, "the name of an environment variable that is set")
    key = os.environ.get(spec.key or "POISE_API_KEY")
    if key is None and spec.url.startswith("https://api.openai.com/"):
        key = os.environ.get("OPENAI_API_KEY")
    kinds = {kind.name.lower(): kind for kind in Dialect}
    if spec.dialect and spec.dialect not in kinds:
        raise UnknownName("engine.dialect", spec.dialect, kinds)
    engine: Engine = OpenAIHTTP(
        spec.url, spec.model, name=name, api_key=key, dialect=kinds[spec.dialect or "openai"], slots=spec.slots
    )
    engine = retrying(engine)
    return limited(engine, spec.slots) if spec.slots else engine
