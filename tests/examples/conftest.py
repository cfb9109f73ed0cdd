"""The programs of the gallery as processes, on a server of the session or on one of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.servers import KINDS, Server

EXAMPLES = Path(__file__).parents[2] / "examples"
SECONDS = 50

Play = Callable[..., list[str]]
"""`play("hello", address)` runs a program to its end and returns its lines."""


@pytest.fixture
def play(tmp_path: Path) -> Play:
    """Run a program in an empty folder, at a server's address or, without one, on the embedded server."""

    def run(name: str, address: str | None = None) -> list[str]:
        own = {name: value for name, value in os.environ.items() if not name.startswith("REDURABLE_")}
        done = subprocess.run(
            [sys.executable, str(EXAMPLES / f"{name}.py")],
            cwd=tmp_path,
            env={**own, "REDURABLE_REDIS_URL": address} if address else own,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
        return done.stdout.splitlines()

    return run


@pytest.fixture(scope="session")
def valkey() -> Iterator[str]:
    """The address of a server that all programs share; each has hubs of its own there."""
    running = Server("valkey9")
    yield running.url
    running.stop()


@pytest.fixture(params=KINDS)
def each_server(request: pytest.FixtureRequest, requires_tool: Callable[..., str]) -> Iterator[str]:
    """The address of a new server, of every kind in turn."""
    if request.param == "redis70":
        requires_tool("redis-server", package="redis-server")
    running = Server(request.param)
    yield running.url
    running.stop()
