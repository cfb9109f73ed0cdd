from __future__ import annotations

from collections.abc import AsyncGenerator

import pytest

from redurable import Client
from tests.unit.client.bench import Bench


@pytest.fixture
def bench() -> Bench:
    return Bench()


@pytest.fixture
async def client(bench: Bench) -> AsyncGenerator[Client, None]:
    async with Client.from_store(bench.store) as client:
        yield client
