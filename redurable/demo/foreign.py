"""A foreign Redis client in a few lines of the standard library: what any language can do to raise an event."""

from __future__ import annotations

import shlex
import socket


def send_command(socket_path: str, *words: str) -> str:
    """Send one command over a unix socket and return its reply; raise `RuntimeError` with what the server refused."""
    parts = [word.encode() for word in words]
    request = b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%b\r\n" % (len(part), part) for part in parts)
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(5)
        connection.connect(socket_path)
        connection.sendall(request)
        with connection.makefile("rb") as replies:
            head = replies.readline().decode().rstrip()
            if head.startswith("-"):
                raise RuntimeError(f"the server refused {words[0]}: {head[1:]}")
            return replies.readline().decode().rstrip() if head.startswith("$") else head[1:]


def as_redis_cli(socket_path: str, *words: str) -> str:
    """The same command as a person types it into a shell."""
    typed = [shlex.quote(word) if "*" in word or " " in word else word for word in words]
    return " ".join(["redis-cli", "-s", shlex.quote(socket_path), *typed])
