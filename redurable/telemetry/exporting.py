"""Where `redurable worker --tracing` sends spans: the OpenTelemetry SDK, as its own OTEL_… variables say.

A program that sets up a provider of its own, or is started by `opentelemetry-instrument`, needs nothing of this.
"""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager
from importlib.metadata import entry_points
from typing import Any

from redurable.errors import CallerError, MissingExtra

GROUP = "opentelemetry_traces_exporter"
_PROTOCOLS = {"grpc": "otlp_proto_grpc", "http/protobuf": "otlp_proto_http"}
_PACKAGES = {
    "otlp_proto_grpc": "opentelemetry-exporter-otlp-proto-grpc",
    "otlp_proto_http": "opentelemetry-exporter-otlp-proto-http",
}


@contextmanager
def exporting() -> Generator[None]:
    """Set the global provider up, unless there is one; send what is left at the end. The exporter is the one that
    OTEL_TRACES_EXPORTER names: otlp (also when it is not set), console, any that is installed, or none.

    Raises `MissingExtra` when a package is not installed, `CallerError` for an exporter that nobody knows.
    """
    try:
        from opentelemetry import trace
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ModuleNotFoundError:
        raise MissingExtra(
            "tracing needs the SDK of OpenTelemetry and an exporter: "
            "pip install 'redurable[otel]' opentelemetry-sdk opentelemetry-exporter-otlp-proto-http"
        ) from None
    if not isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider):
        yield
        return
    exporters = [_exporter(name) for name in _wanted()]
    provider = TracerProvider()
    for exporter in exporters:
        provider.add_span_processor(BatchSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    try:
        yield
    finally:
        provider.shutdown()


def _wanted() -> list[str]:
    """The entry points of the exporters that the environment names."""
    given = os.environ.get("OTEL_TRACES_EXPORTER", "").strip() or "otlp"
    names = [name.strip() for name in given.split(",")]
    return [_otlp() if name == "otlp" else name for name in names if name not in ("", "none")]


def _otlp() -> str:
    protocol = os.environ.get("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL") or os.environ.get("OTEL_EXPORTER_OTLP_PROTOCOL")
    if protocol:
        if protocol not in _PROTOCOLS:
            known = ", ".join(_PROTOCOLS)
            raise CallerError(f"OTEL_EXPORTER_OTLP_PROTOCOL={protocol!r}: choose one of {known}")
        return _PROTOCOLS[protocol]
    installed = {found.name for found in entry_points(group=GROUP)}
    return next((name for name in ("otlp_proto_http", "otlp_proto_grpc") if name in installed), "otlp_proto_http")


def _exporter(name: str) -> Any:
    found = next(iter(entry_points(group=GROUP, name=name)), None)
    if found is not None:
        return found.load()()
    if name in _PACKAGES:
        raise MissingExtra(
            f"no exporter of spans is installed: pip install {_PACKAGES[name]}, or choose another one "
            "with OTEL_TRACES_EXPORTER (console, none)"
        )
    known = ", ".join(sorted({found.name for found in entry_points(group=GROUP)}))
    raise CallerError(f"OTEL_TRACES_EXPORTER={name!r}: no installed package has it; there are {known}")
