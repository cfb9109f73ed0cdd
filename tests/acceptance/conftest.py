"""A plant on each kind of server; the servers are those of the integration tests."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from tests.acceptance.kit import Plant, plant_on
from tests.integration.conftest import hub, server
from tests.support.servers import Server

__all__ = ["hub", "server"]


@pytest.fixture
async def plant(server: Server, hub: str, tmp_path: Path) -> AsyncGenerator[Plant, None]:
    """A hub of its own on a server that the session shares."""
    async with plant_on(server, hub, tmp_path) as opened:
        yield opened
