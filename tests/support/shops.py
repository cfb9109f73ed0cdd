"""A server on a TCP port and a worker process that takes turns only: what programs in other languages find."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from tests.support.servers import Server

CHECKOUT = Path(__file__).parents[2]
_RESERVED: list[socket.socket] = []


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
    """A port of the loopback that nobody listens on, until the end of all tests: nobody gets it who asks for any port,
    and a server that names it does, as often as it likes, because servers set SO_REUSEADDR, too."""
    reserved = socket.socket()
    reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    reserved.bind(("127.0.0.1", 0))
    _RESERVED.append(reserved)
    return reserved.getsockname()[1]
