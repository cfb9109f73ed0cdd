"""A tiny server that only says of itself what it is told to: enough for whoever looks before they write."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Generator
from contextlib import contextmanager
from typing import cast


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True
    info = b""
    asked: list[bytes]


class _Session(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        server = cast("_Server", self.server)
        while words := self._command():
            server.asked.append(words[0].upper())
            match words[0].upper():
                case b"INFO":
                    self.wfile.write(b"$%d\r\n%s\r\n" % (len(server.info), server.info))
                case b"PING":
                    self.wfile.write(b"+PONG\r\n")
                case b"SELECT" | b"CLIENT":
                    self.wfile.write(b"+OK\r\n")
                case _:
                    self.wfile.write(b"-ERR unknown command\r\n")

    def _command(self) -> list[bytes]:
        """The words of a command; none at the end of the connection."""
        head = self.rfile.readline()
        return [self.rfile.read(int(self.rfile.readline()[1:]) + 2)[:-2] for _ in range(int(head[1:] or 0))]


@contextmanager
def pretending(**facts: str) -> Generator[tuple[str, list[bytes]]]:
    """The address of a server whose INFO says these facts, and the commands that it has been sent so far."""
    with _Server(("127.0.0.1", 0), _Session) as server:
        server.info = "".join(f"{name}:{value}\r\n" for name, value in facts.items()).encode()
        server.asked = []
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"redis://127.0.0.1:{server.server_address[1]}", server.asked
        finally:
            server.shutdown()
            thread.join()
