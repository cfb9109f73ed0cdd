"""A server on a TCP port and a worker process that takes turns only: what programs in other languages find."""

from __future__ import annotations

import os
import random
import socket
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from tests.support.servers import Server

CHECKOUT = Path(__file__).parents[2]


@contextmanager
def shop(kind: str, folder: Path, *options: str) -> Generator[str]:
    """The address of a server for which a worker with these options runs the module `shop` of this folder; both end
    with the block."""
    port = free_port()
    with closing(Server(kind, "--port", str(port))):
        url = f"redis://127.0.0.1:{port}"
        command = [sys.executable, "-m", "redurable", "worker", "shop:app", "--redis", url]
        command += [*options, "--metrics-port", "0", "--until-stdin-closes"]
        paths = os.pathsep.join([str(CHECKOUT), os.environ.get("PYTHONPATH", "")])
        worker = subprocess.Popen(
            command,
            cwd=folder,
            env={**os.environ, "PYTHONPATH": paths},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        with worker:
            assert worker.stdout is not None
            try:
                assert "is ready" in worker.stdout.readline()
                yield url
            finally:
                worker.kill()


@contextmanager
def closing(server: Server) -> Generator[Server]:
    """Stop it at the end of the block."""
    try:
        yield server
    finally:
        server.stop()


def free_port() -> int:
    """A port of the loopback that nobody listens on. Until this process ends no other test gets it, and it is none of
    those that the kernel gives to whoever wants any, so it is still free when a server has started."""
    while True:
        port = random.SystemRandom().randrange(20_000, 30_000)
        name = socket.socket(socket.AF_UNIX)
        with socket.socket() as probe:
            try:
                name.bind(f"\0redurable-test-port-{port}")
                probe.bind(("127.0.0.1", port))
            except OSError:
                name.close()
                continue
        name.detach()  # open as long as this process
        return port
