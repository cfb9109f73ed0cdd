"""A plant on each kind of server; the servers are those of the integration tests. A shop with its embedded server."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator
from pathlib import Path

import pytest

from tests.acceptance.kit import Plant, plant_on
from tests.integration.conftest import hub, server
from tests.support.servers import Server
from tests.support.shop_line import Running, Shop

__all__ = ["hub", "server"]


@pytest.fixture
async def plant(server: Server, hub: str, tmp_path: Path) -> AsyncGenerator[Plant, None]:
    """A hub of its own on a server that the session shares."""
    async with plant_on(server, hub, tmp_path) as opened:
        yield opened
        print(opened.logs())  # noqa: T201 - pytest shows it with a failure, which does not come in here


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


@pytest.fixture
def shop_worker(shop: Shop) -> Iterator[Running]:
    """A worker that serves the shop, and owns its embedded server."""
    with shop.process("worker", "shop_app:app", "--metrics-port", "0") as worker:
        worker.line("is ready")
        yield worker
