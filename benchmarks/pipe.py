"""What another program sends in bulk: `redis-cli --pipe`, or the same bytes on a plain socket where there is none."""

from __future__ import annotations

import shutil
import socket
import subprocess
from pathlib import Path

from benchmarks.errors import BenchmarkFailed

PIPE_SECONDS = 60.0


def words(*parts: str) -> bytes:
    """A command as it goes over the wire."""
    encoded = [part.encode() for part in parts]
    return b"*%d\r\n" % len(encoded) + b"".join(b"$%d\r\n%b\r\n" % (len(part), part) for part in encoded)


def program() -> str:
    """What `pipe` uses."""
    return "redis-cli --pipe" if shutil.which("redis-cli") else "a plain socket"


def pipe(path: Path, commands: bytes) -> None:
    """Send them all and read every answer; raises `BenchmarkFailed` when the server refuses one."""
    if not shutil.which("redis-cli"):
        _send(path, commands)
        return
    command = ["redis-cli", "-s", str(path), "--pipe"]
    done = subprocess.run(command, input=commands, capture_output=True, timeout=PIPE_SECONDS, check=False)
    if done.returncode or b"errors: 0" not in done.stdout:
        raise BenchmarkFailed(f"redis-cli --pipe: {done.stdout.decode()} {done.stderr.decode()}")


def _send(path: Path, commands: bytes) -> None:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(PIPE_SECONDS)
        connection.connect(str(path))
        connection.sendall(commands)
        connection.shutdown(socket.SHUT_WR)
        while answer := connection.recv(65_536):
            if answer.startswith(b"-") or b"\n-" in answer:
                raise BenchmarkFailed(f"the server refused: {answer[:200]!r}")
