"""optillm, as its proxy: the approach is a prefix of the model's name. `method`: self_consistency (always 5 draws, one
after the other), bon (n drafts in one call, each rated by the model), majority_voting (n drafts in one call)."""

from __future__ import annotations

import sys
from pathlib import Path

from asking import Told, in_threads, job, post, service


def main() -> None:
    """Answer the job's questions."""
    given = job()
    here = f"http://127.0.0.1:{given['port']}"
    command = [str(Path(sys.executable).parent / "optillm"), "--base-url", given["url"], "--port", str(given["port"])]
    command += ["--model", given["model"], "--best-of-n", str(given["n"]), "--log", "error"]

    def ask(question: str) -> Told:
        body = {
            "model": f"{given['method']}-{given['model']}",
            "messages": [{"role": "user", "content": question}],
            "temperature": given["temperature"],
            "max_tokens": given["max_tokens"],
        }
        if given["method"] == "majority_voting":
            body["k"] = given["n"]
        told = post(f"{here}/v1/chat/completions", body, given["key"])
        return told["choices"][0]["message"]["content"], (told.get("usage") or {}).get("completion_tokens")

    with service(command, f"{here}/health", given, OPENAI_API_KEY=given["key"]):
        in_threads(given, ask)


if __name__ == "__main__":
    main()
