"""Server-sent events, as far as JSON streams use them: bytes in, the data of each event out. Pure."""

from __future__ import annotations

from poise.errors import EngineError

MOST_BYTES = 16 * 2**20


class Events:
    """Puts events together wherever the network cut them. Lines end in LF or CR LF; comments and fields other than
    data are skipped."""

    __slots__ = ("_data", "_rest")

    def __init__(self) -> None:
        self._rest = bytearray()
        self._data: list[bytes] = []

    def feed(self, piece: bytes) -> list[bytes]:
        """The data of every event that this piece completes.

        Raises EngineError when one line passes 16 MiB."""
        self._rest += piece
        if b"\n" not in piece:
            if len(self._rest) > MOST_BYTES:
                raise EngineError(f"the server sent a line of more than {MOST_BYTES:,} bytes")
            return []
        *lines, rest = bytes(self._rest).split(b"\n")
        self._rest = bytearray(rest)
        complete = []
        for line in lines:
            if line.startswith(b"data:"):
                self._data.append(line[5:].strip())
            elif self._data and line in (b"", b"\r"):
                complete.append(b"\n".join(self._data))
                self._data.clear()
        return complete
