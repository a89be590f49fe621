"""The settings of a run as the TOML file that `poise bench --config` reads, so that anyone can run it again."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from poise.records import Json

_BARE = re.compile(r"[A-Za-z0-9_-]+")
_SAMPLING = ("temperature", "top_p", "max_tokens", "stop")


def recipe(settings: Json) -> str:
    """TOML text from the config.json of a benchmark. Engines are named but not described: how a model is reached is the
    business of whoever runs it."""
    lines = [f"# {name}: {model}" for name, model in settings.get("models", {}).items()]
    compare = [f"{first}/{second}" for first, second in settings.get("compare", ())]
    top = {"task": settings.get("tasks", []), "limit": settings.get("limit"), "seed": settings.get("seed"),
           "parallel": settings.get("parallel"), "compare": compare or None}  # fmt: skip
    lines += _table(top)
    for arm in settings.get("arms", ()):
        lines += ["", f"[arms.{_key(arm['name'])}]", *_table(_arm(arm))]
    return "\n".join(lines) + "\n"


def _arm(arm: Json) -> Json:
    plan, sampling = arm["plan"], arm["sampling"]
    engines = dict(plan["engines"])
    main = engines.pop("main", "main")
    return {
        **_strategy(plan["strategy"]), "engine": None if main == "main" else main, "engines": engines or None,
        "scorer": plan.get("scorer"), **plan.get("budget", {}), **{k: sampling[k] for k in _SAMPLING if k in sampling},
    }  # fmt: skip


def _strategy(strategy: Json) -> Json:
    knobs = {knob: _setting(setting) for knob, setting in strategy.items() if knob != "name"}
    return {"strategy": strategy["name"], **knobs}


def _setting(setting: object) -> object:
    if isinstance(setting, Mapping) and "name" in setting:
        return _strategy(dict(setting))
    return [_setting(inside) for inside in setting] if isinstance(setting, list) else setting


def _table(settings: Json) -> list[str]:
    return [f"{_key(name)} = {_value(setting)}" for name, setting in settings.items() if setting is not None]


def _value(setting: object) -> str:
    if isinstance(setting, Mapping):
        inside = (f"{_key(name)} = {_value(part)}" for name, part in setting.items() if part is not None)
        return f"{{ {', '.join(inside)} }}"
    if isinstance(setting, (list, tuple)):
        return f"[{', '.join(map(_value, setting))}]"
    return json.dumps(setting, ensure_ascii=False)  # texts, numbers and truths are written alike in JSON and TOML


def _key(name: str) -> str:
    return name if _BARE.fullmatch(name) else json.dumps(name, ensure_ascii=False)
