"""Real servers for tests: each on a unix socket in a directory of its own, ended by its own process id."""

from __future__ import annotations

import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from redurable.store.embedded.binary import server_binary

START_TIMEOUT_S = 30.0

KINDS = ("valkey9", "redis70")
"""The servers that the suite runs on: the newest of one line, the oldest of the other."""


class Server:
    """A running server. `kill` ends it at once and leaves its data; `run` starts it again."""

    def __init__(self, kind: str, *options: str) -> None:
        self.kind = kind
        self.directory = Path(tempfile.mkdtemp(prefix="rd-"))
        self.socket = self.directory / "s"
        self.url = f"unix://{self.socket}"
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None
        self.run()

    def run(self) -> None:
        """Start the server and wait until it answers."""
        command = [binary(self.kind), "--port", "0", "--unixsocket", str(self.socket), "--dir", str(self.directory)]
        command += ["--save", "", "--appendonly", "no", "--daemonize", "no", *self._options]
        with (self.directory / "log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise RuntimeError(f"{self.kind} did not start: {(self.directory / 'log').read_text()[-2000:]}")
            time.sleep(0.005)

    def client(self) -> Redis:
        """A client of its own, for what a foreign program would do."""
        return Redis(unix_socket_path=str(self.socket), protocol=2, retry=Retry(NoBackoff(), 0))

    def kill(self) -> None:
        """End it as a power cut would."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """End it and delete its data."""
        self._end(signal.SIGTERM)
        shutil.rmtree(self.directory, ignore_errors=True)

    def _end(self, number: int) -> None:
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(START_TIMEOUT_S)
            self._process = None

    def _answers(self) -> bool:
        try:
            with self.client() as client:
                return client.exists("anything") == 0
        except (RedisError, OSError):
            return False


def binary(kind: str) -> str:
    """The server's program."""
    if kind == "valkey9":
        return str(server_binary())
    found = shutil.which("redis-server")
    if found is None:
        raise RuntimeError("no redis-server: install the Debian package redis-server")
    return found
