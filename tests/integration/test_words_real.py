"""The tokenizer that is read from a real model's file, against llama.cpp's own."""

import asyncio
import json
import urllib.request

import pytest

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(120)]

TEXTS = [
    "What is 17 + 25?",
    "1234567890 3.14159 -12,345.67 1/2",
    "She's got 3 apples; they're worth $4.50 each (that's 13.50 in all).",
    "  two  spaces,\ttab,\n\n\nlines \r\n and a trailing space ",
    "\u00e9t\u00e9 na\u00efve \u4f60\u597d\uff0c\u4e16\u754c \u041f\u0440\u0438\u0432\u0435\u0442",
    "\U0001f600\U0001f468\u200d\U0001f469\u200d\U0001f467 \u00bd \u0663",
    "def f(x):\n    return x ** 2  # comment\n",
    "<|im_start|>user\nHow many?<|im_end|>\n<|im_start|>assistant\n#### 42<|im_end|>",
    "ALLCAPS camelCase snake_case 'll 'LL don't DON'T",
    "a" * 50 + " " * 17 + "!!!???...",
]


def cut(engine, text):
    """What the server itself makes of a text."""
    address = engine._process.running
    body = json.dumps({"content": text, "add_special": False, "parse_special": True}).encode()
    headers = {"Authorization": f"Bearer {address.key}", "Content-Type": "application/json"}
    with urllib.request.urlopen(urllib.request.Request(address.url + "/tokenize", body, headers), timeout=30) as answer:
        return json.loads(answer.read())["tokens"]


async def test_token_ids_are_those_of_llamacpp(llamacpp, base_model):
    from poise.models.words import tokenizer_of

    await llamacpp.start()
    tokenizer = await asyncio.to_thread(tokenizer_of, base_model.path)
    for text in TEXTS:
        wanted = await asyncio.to_thread(cut, llamacpp, text)
        assert tokenizer(text, add_special_tokens=False).input_ids == wanted, text
        assert tokenizer.decode(wanted) == text
