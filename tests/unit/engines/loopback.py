"""A loopback HTTP server whose every byte is scripted."""

import asyncio
import contextlib
import json

import pytest


def event(value):
    """One server-sent event."""
    return b"data: " + (value if isinstance(value, bytes) else json.dumps(value).encode()) + b"\n\n"


def chunk(text="", index=0, finish=None, **extra):
    """One event of a streamed chat completion."""
    choice = {"index": index, "delta": {"content": text}, "finish_reason": finish, **extra.pop("choice", {})}
    return event({"choices": [choice], **extra})


def usage(completion_tokens, prompt_tokens=7, **extra):
    return event(
        {"choices": [], "usage": {"prompt_tokens": prompt_tokens, "completion_tokens": completion_tokens, **extra}}
    )


DONE = event(b"[DONE]")


class Wire:
    """The server's end of one exchange. `body` is the JSON that was asked."""

    def __init__(self, reader, writer, body, headers):
        self.reader, self.writer, self.body, self.headers = reader, writer, body, headers

    async def head(self, status=200, content_type="text/event-stream", **headers):
        lines = [f"HTTP/1.1 {status} X", f"Content-Type: {content_type}", "Transfer-Encoding: chunked"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        self.writer.write("\r\n".join([*lines, "", ""]).encode())
        await self.writer.drain()

    async def send(self, *pieces):
        """Each piece in its own HTTP chunk, and its own TCP segment as far as that is up to us."""
        for piece in pieces:
            self.writer.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
            await self.writer.drain()
            await asyncio.sleep(0)

    async def end(self):
        self.writer.write(b"0\r\n\r\n")
        await self.writer.drain()

    async def stream(self, *pieces):
        """A whole answer of 200."""
        await self.head()
        await self.send(*pieces)
        await self.end()

    async def refuse(self, status, body=b"", content_type="application/json", **headers):
        await self.head(status, content_type, **headers)
        await self.send(*[body] if body else [])
        await self.end()

    def reset(self):
        self.writer.transport.abort()

    async def gone(self):
        """Wait until the client closes its half."""
        while await self.reader.read(65536):
            pass


class Upstream:
    """Runs `script(wire)` for every request; keeps what was asked and counts connections."""

    def __init__(self, script):
        self.script, self.asked, self.opened = script, [], 0
        self.tasks = set()

    async def __aenter__(self):
        self.server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self.server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *exc):
        self.server.close()
        for task in list(self.tasks):
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)

    async def _serve(self, reader, writer):
        self.tasks.add(asyncio.current_task())
        asyncio.current_task().add_done_callback(self.tasks.discard)
        self.opened += 1
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                lines = head.decode().split("\r\n")
                headers = dict(line.lower().split(": ", 1) for line in lines[1:] if line)
                raw = await reader.readexactly(int(headers.get("content-length", 0)))
                wire = Wire(reader, writer, json.loads(raw) if raw else None, headers)
                self.asked.append(wire)
                await self.script(wire)
                if writer.is_closing():
                    break
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError, asyncio.CancelledError):
                await writer.wait_closed()


async def drawn(stream):
    """All deltas of a stream, and its overrun."""
    deltas = []
    try:
        async for delta in stream:
            deltas.append(delta)
    finally:
        overrun = await stream.aclose()
    return deltas, overrun


async def failed(stream, error):
    """The error that a stream raises."""
    with pytest.raises(error) as caught:
        await drawn(stream)
    return caught.value
