"""`redurable serve`: the HTTP management API."""

from __future__ import annotations

import os
from typing import Annotated, Any

import typer

from redurable.cli.command import PATIENCE_SECONDS, Target, command
from redurable.client import Client
from redurable.errors import MissingExtra
from redurable.settings import HttpSettings, TelemetrySettings
from redurable.telemetry.logs import log_to_stderr

HostOption = Annotated[
    str | None, typer.Option("--host", metavar="ADDRESS", help="Address of the interface (default 127.0.0.1).")
]
PortOption = Annotated[int | None, typer.Option("--port", min=0, max=65535, help="Port (default 8080), 0: a free one.")]
KeysOption = Annotated[
    str | None,
    typer.Option(
        "--keys-file", metavar="FILE", help="API keys, one in a line: name:role:secret; roles read, operate, admin."
    ),
]
UrlOption = Annotated[
    str | None, typer.Option("--public-url", metavar="URL", help="Where callers reach it, when a proxy is in between.")
]
OriginOption = Annotated[
    list[str] | None,
    typer.Option("--cors-origin", metavar="ORIGIN", help="A web origin that may call from a browser; may be repeated."),
]
InsecureOption = Annotated[
    bool, typer.Option("--insecure", help="Serve everybody without keys: something else asks for credentials.")
]


def register(app: typer.Typer) -> None:
    """Add this file's commands."""
    command(app, "serve")(serve)


async def serve(
    target: Target,
    host: HostOption = None,
    port: PortOption = None,
    keys_file: KeysOption = None,
    public_url: UrlOption = None,
    cors_origin: OriginOption = None,
    insecure: InsecureOption = False,
) -> None:
    """Serve the HTTP management API, which Azure Durable Functions' clients speak.

    --hub may name several hubs with commas between them: a request chooses by taskHub, else the first is meant. Without
    API keys it listens on this machine alone.
    """
    try:
        from redurable.http.serving import serve as serve_api
    except ModuleNotFoundError as error:
        raise MissingExtra(f"serve needs the module {error.name}: pip install 'redurable[server]'") from None
    telemetry = TelemetrySettings()
    log_to_stderr(telemetry.log_level, telemetry.log_format)
    hubs = list(dict.fromkeys(name for word in target.named_hub().split(",") if (name := word.strip())))
    clients = [Client(target.address, hub=hub, timeout=PATIENCE_SECONDS) for hub in hubs]
    told: dict[str, Any] = {
        "http_host": host,
        "http_port": port,
        "http_keys_file": keys_file,
        "http_public_url": public_url,
        "http_cors_origins": ",".join(cors_origin or ()) or None,
    }
    settings = HttpSettings(**{name: value for name, value in told.items() if value is not None})
    await serve_api(
        clients, settings, insecure, f"redurable serve is ready: process {os.getpid()}, hub {', '.join(hubs)}"
    )
