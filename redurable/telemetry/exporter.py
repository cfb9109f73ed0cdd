"""Serves metrics and probes over HTTP, from a thread of its own: `/metrics`, `/livez`, `/readyz`."""

from __future__ import annotations

import gzip
import logging
import socket
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from threading import Thread
from urllib.parse import urlsplit

import msgspec
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from redurable.settings import MetricsSettings
from redurable.telemetry.health import Health, Verdict

log = logging.getLogger("redurable.metrics")

CLIENT_SECONDS = 10.0
"""A client that is silent for so long is hung up on."""
POLL_SECONDS = 0.1
SMALL = 1_000
"""Answers of up to so many bytes are not worth to be compressed."""

Answer = tuple[int, str, bytes]


class Exporter:
    """Serves a registry, and the probes of a `health` if there is one. Use it as a context manager.

    A port that is taken is logged and nothing is served: metrics are never a reason for work to stand still. Port 0
    lets the machine choose one.
    """

    def __init__(
        self, registry: CollectorRegistry, port: int, host: str | None = None, health: Health | None = None
    ) -> None:
        self._server: _Server | None = None
        self._thread: Thread | None = None
        host = MetricsSettings().metrics_host if host is None else host
        try:
            self._server = _Server((host, port), registry, health)
        except OSError as error:
            log.warning("no metrics: cannot listen on %s:%d (%s); choose another --metrics-port", host, port, error)
            return
        self._thread = Thread(
            target=self._server.serve_forever, args=(POLL_SECONDS,), name="redurable-metrics", daemon=True
        )
        self._thread.start()

    @property
    def port(self) -> int:
        """The port that is served; 0 when none is."""
        return 0 if self._server is None else self._server.server_port

    def __enter__(self) -> Exporter:
        return self

    def __exit__(self, *_: object) -> None:
        if self._server is not None and self._thread is not None:
            self._server.shutdown()
            self._server.server_close()
            self._thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, address: tuple[str, int], registry: CollectorRegistry, health: Health | None) -> None:
        self.registry = registry
        self.probes: dict[str, Callable[[], Verdict]] = {}
        if health is not None:
            self.probes = {"/livez": health.live, "/readyz": health.ready}
        if ":" in address[0]:
            self.address_family = socket.AF_INET6
        super().__init__(address, _Handler)

    def server_bind(self) -> None:
        """Without the look-up of this machine's full name, which stops the event loop where name servers are away."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up amid an answer is no news."""
        log.debug("a client of the metrics went wrong", exc_info=True)


class _Handler(BaseHTTPRequestHandler):
    timeout = CLIENT_SECONDS
    # typeshed knows only of the base class; `_Server` makes these handlers.
    server: _Server  # pyright: ignore[reportIncompatibleVariableOverride]

    def do_GET(self) -> None:
        status, kind, body = self._answer(urlsplit(self.path).path)
        self.send_response(status)
        self.send_header("Content-Type", kind)
        if len(body) > SMALL and "gzip" in self.headers.get("Accept-Encoding", ""):
            body = gzip.compress(body, compresslevel=1)
            self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_HEAD = do_GET  # noqa: N815

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Scrapes and probes come every few seconds."""

    def _answer(self, path: str) -> Answer:
        server = self.server
        if path == "/metrics":
            encode, kind = choose_encoder(self.headers.get("Accept", ""))
            return 200, kind, encode(server.registry)
        if path in server.probes:
            return _told(server.probes[path]())
        known = ", ".join(["/metrics", *server.probes])
        return 404, "text/plain; charset=utf-8", f"here are {known}\n".encode()


def _told(verdict: Verdict) -> Answer:
    seconds = {name: round(value, 3) for name, value in verdict.seconds.items()}
    body = {"ok": verdict.ok, "why": verdict.why, "seconds": seconds}
    return 200 if verdict.ok else 503, "application/json", msgspec.json.encode(body) + b"\n"
