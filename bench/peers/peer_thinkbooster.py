"""ThinkBooster, as its service. `method`: self_consistency, n streamed draws at once, by its OpenAI-compatible call;
with "/events" behind it, by its own stream of events, the one way in which it answers questions side by side."""

from __future__ import annotations

import json
import sys
import urllib.request
from typing import Any

from asking import Told, in_threads, job, post, service


def completed(url: str, body: dict[str, Any]) -> dict[str, Any]:
    """The answer at the end of a stream of events."""
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(url, json.dumps(body | {"stream": True}).encode(), headers)
    with urllib.request.urlopen(request, timeout=600) as reply:
        for line in reply:
            event = json.loads(line[6:]) if line.startswith(b"data: ") else {}
            if event.get("type") == "complete":
                return event["data"]
            if event.get("type") == "error":
                raise RuntimeError(event["message"])
    raise RuntimeError("the stream ended without an answer")


def main() -> None:
    """Answer the job's questions."""
    given = job()
    here, (strategy, _, events) = f"http://127.0.0.1:{given['port']}", given["method"].partition("/")
    command = [sys.executable, "-m", "uvicorn", "service_app.main:app", "--port", str(given["port"])]

    def ask(question: str) -> Told:
        body = {
            "model": given["model"],
            "messages": [{"role": "user", "content": question}],
            "provider": "openai",
            "model_base_url": given["url"],
            "num_paths": given["n"],
            "temperature": given["temperature"],
            "max_tokens": given["max_tokens"],
        }
        url = f"{here}/v1/{strategy}/chat/completions"
        told = completed(url, body) if events else post(url, body)
        return told["choices"][0]["message"]["content"], told["usage"]["completion_tokens"]

    with service(command, f"{here}/health", given, OPENAI_API_KEY=given["key"], OPENROUTER_API_KEY=given["key"]):
        in_threads(given, ask)


if __name__ == "__main__":
    main()
