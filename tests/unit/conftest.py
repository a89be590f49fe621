"""Unit tests reach neither the user's model cache nor any machine but this one."""

import socket

import pytest

LOOPBACK = ("127.", "::1", "localhost")


@pytest.fixture(autouse=True)
def isolated(monkeypatch, tmp_path_factory):
    """An own, lazily made cache folder, and sockets that connect to loopback only."""
    monkeypatch.setenv("POISE_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
    connect = socket.socket.connect

    def connect_here(self, address):
        if self.family != socket.AF_UNIX and not str(address[0]).startswith(LOOPBACK):
            raise OSError(f"a unit test tried to reach {address}")
        return connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", connect_here)
