"""Any OpenAI-compatible server as an engine: one code path for vLLM, SGLang, llama.cpp and hosted models."""

from __future__ import annotations

import asyncio
import json
import re
from dataclasses import KW_ONLY, InitVar, dataclass, field
from ipaddress import ip_address
from urllib.parse import urlsplit

import aiohttp

from poise.core import Ability, Prompt, Sampling
from poise.costs import Card, Load
from poise.engines.call import Call, Timeouts
from poise.engines.chunks import Decoder
from poise.engines.dialect import Dialect, chat_body, continues
from poise.engines.failures import failure_of_answer
from poise.errors import ConfigError, EngineRefused, EngineUnreachable
from poise.seams import Stream

__all__ = ["OpenAIHTTP", "Timeouts", "detect"]

_KEEP_ALIVE_SECONDS = 4.0  # below the 5 s after which uvicorn, and so vLLM, drops an idle connection


@dataclass(eq=False)
class OpenAIHTTP:
    """A model on an OpenAI-compatible server.

    `base_url` with or without /v1; `abilities` overrides what the dialect is known for (a server whose seeds do not
    work, say); `slots` says how many samples the server runs at once, where that is known. Connections are opened by
    the first draw, belong to the running event loop, and are used again. Raises ConfigError."""

    base_url: str
    model: str
    _: KW_ONLY
    name: str = "openai"
    api_key: str | None = field(default=None, repr=False)
    dialect: Dialect = Dialect.OPENAI
    card: Card = Card("")
    timeouts: Timeouts = Timeouts()
    slots: int = 0
    abilities: InitVar[frozenset[Ability] | None] = None
    can: frozenset[Ability] = field(init=False)

    def __post_init__(self, abilities: frozenset[Ability] | None) -> None:
        self.base_url = _checked_url(self.base_url)
        _check_key(self.api_key)
        self.can = self.dialect.traits.can if abilities is None else abilities
        self.card = self.card if self.card.name else Card(self.model)
        self._calls: set[Call] = set()
        self._session: tuple[asyncio.AbstractEventLoop, aiohttp.ClientSession] | None = None

    def stream(self, prompt: Prompt, sampling: Sampling, n: int = 1) -> Stream:
        """Raises, from the iteration, EngineErrors; EngineRefused also for what this engine cannot do."""
        decoder = Decoder(self.dialect.traits, sampling, n)
        call = Call(lambda: self._post(prompt, sampling, n), decoder, self.timeouts, self.api_key, self._calls)
        return Stream(call.deltas(), call.settle)

    def load(self) -> Load:
        samples = sum(call.running for call in self._calls)
        running = min(samples, self.slots) if self.slots else samples
        return Load(running, samples - running, self.slots)

    async def aclose(self) -> None:
        for call in list(self._calls):
            call.abort()
        loop_and_session, self._session = self._session, None
        if loop_and_session and loop_and_session[0] is asyncio.get_running_loop():
            await loop_and_session[1].close()

    async def _post(self, prompt: Prompt, sampling: Sampling, n: int) -> aiohttp.ClientResponse:
        needs = {
            Ability.CONTINUES: continues(prompt),
            Ability.N_SAMPLES: n > 1,
            Ability.LOGPROBS: sampling.top_logprobs is not None,
        }
        if missing := [ability.value for ability, needed in needs.items() if needed and ability not in self.can]:
            raise EngineRefused(f"{self.name} ({self.dialect.value}) cannot {' or '.join(missing)}")
        body = chat_body(self.model, prompt, sampling, n, self.dialect, Ability.SEEDS in self.can)
        return await self._connected().post(
            f"{self.base_url}/chat/completions",
            data=json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
            allow_redirects=False,
        )

    def _connected(self) -> aiohttp.ClientSession:
        """The session of the running event loop."""
        loop = asyncio.get_running_loop()
        if self._session and self._session[0] is loop:
            return self._session[1]
        if self._session:
            self._session[1].detach()  # its loop has ended, and its connections with it
        headers = {"Accept": "text/event-stream", "Accept-Encoding": "identity"}
        if self.api_key:
            headers["Authorization"] = f"Bearer {self.api_key}"
        if self.dialect.traits.reuse:
            connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=_KEEP_ALIVE_SECONDS)
        else:
            connector = aiohttp.TCPConnector(limit=0, force_close=True)
        session = aiohttp.ClientSession(
            connector=connector,
            timeout=aiohttp.ClientTimeout(total=None, connect=self.timeouts.connect),
            headers=headers,
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=not _is_loopback(self.base_url),
        )
        self._session = loop, session
        return session


async def detect(base_url: str, api_key: str | None = None, timeout_seconds: float = 5.0) -> Dialect:
    """The dialect that a server's list of models gives away; OPENAI where it gives nothing away.

    Raises EngineUnreachable and EngineRefused. One GET."""
    url = f"{_checked_url(base_url)}/models"
    headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
    limit = aiohttp.ClientTimeout(total=timeout_seconds)
    try:
        async with (
            aiohttp.ClientSession(timeout=limit, trust_env=not _is_loopback(url)) as session,
            session.get(url, headers=headers, allow_redirects=False) as response,
        ):
            body = await response.read()
    except (aiohttp.ClientError, OSError) as failure:
        raise EngineUnreachable(f"no connection: {failure or type(failure).__name__}") from failure
    if response.status != 200:
        raise failure_of_answer(response.status, response.headers, body)
    owners = re.findall(rb'"owned_by"\s*:\s*"([a-z.]+)"', body)
    return next((dialect for dialect in Dialect if dialect.value.encode() in owners), Dialect.OPENAI)


def _checked_url(url: str) -> str:
    """The URL without a slash at the end, with /v1 unless it names a version itself. Raises ConfigError."""
    allowed = "http:// or https://, a host, and perhaps a port and a path"
    try:
        parts = urlsplit(url.strip())
        sound = parts.scheme in ("http", "https") and parts.hostname and (parts.port or 1) and " " not in url.strip()
    except ValueError as flaw:
        raise ConfigError("base_url", url, allowed) from flaw
    if parts.username is not None or parts.password is not None:
        raise ConfigError("base_url", f"{parts.scheme}://***@{parts.hostname}", "no password in it: use the key")
    if not sound or parts.query or parts.fragment:
        raise ConfigError("base_url", url, allowed)
    path = parts.path.rstrip("/")
    return f"{parts.scheme}://{parts.netloc}{path if re.search(r'/v[0-9]', path) else path + '/v1'}"


def _check_key(key: str | None) -> None:
    if key is not None and not (key and key.isascii() and key.isprintable() and " " not in key):
        raise ConfigError("api_key", "***", "printable ASCII characters without blanks, or nothing at all")


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
