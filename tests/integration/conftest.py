"""The real embedded engine, with the base of the default model, which can also chat. Where that cannot be had, these
tests fail; they do not skip."""

import contextlib

import pytest
import pytest_asyncio

from poise.engines.llamacpp import LlamaCpp

BASE = "smollm2-135m-instruct"


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def llamacpp():
    """One server for all tests of the session: 16 slots of 512 tokens."""
    engine = LlamaCpp(BASE, context=512)
    async with contextlib.aclosing(engine):
        yield engine


@pytest_asyncio.fixture(loop_scope="session")
async def own_llamacpp():
    """Starts servers that belong to one test, which may kill them."""
    async with contextlib.AsyncExitStack() as stack:

        def start(**knobs):
            engine = LlamaCpp(**{"model": BASE, "slots": 2, "context": 256} | knobs)
            stack.push_async_callback(engine.aclose)
            return engine

        yield start


@pytest.fixture(scope="session")
def base_model():
    """The base's file."""
    from poise.models import locate

    return locate(BASE)
