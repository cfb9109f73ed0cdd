"""What `redurable worker --tracing` exports to, and what it says when a package is missing."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import EntryPoint, EntryPoints
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import ConsoleSpanExporter

from redurable import CallerError
from redurable.errors import MissingExtra
from redurable.telemetry import exporting as module

VARIABLES = ("OTEL_TRACES_EXPORTER", "OTEL_EXPORTER_OTLP_PROTOCOL", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL")


class Global:
    """Stands where the process's provider does: a process has one for ever."""

    def __init__(self, provider: Any) -> None:
        self.provider = provider


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Global:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    world = Global(trace.ProxyTracerProvider())
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: world.provider)
    monkeypatch.setattr(trace, "set_tracer_provider", lambda provider: setattr(world, "provider", provider))  # pyright: ignore[reportUnknownLambdaType, reportUnknownArgumentType]
    return world


def exporters(provider: Any) -> list[str]:
    return [type(found.span_exporter).__name__ for found in provider._active_span_processor._span_processors]


@pytest.mark.parametrize(("named", "wanted"), [("console", ["ConsoleSpanExporter"]), ("none", []), (" none, ", [])])
def test_the_environment_names_the_exporter(
    world: Global, monkeypatch: pytest.MonkeyPatch, named: str, wanted: list[str]
) -> None:
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", named)
    with module.exporting():
        assert exporters(world.provider) == wanted


def test_a_provider_that_is_there_is_left_alone(world: Global) -> None:
    world.provider = provider = TracerProvider()
    with module.exporting():
        assert world.provider is provider


@pytest.mark.parametrize(
    ("variables", "installed", "wanted"),
    [
        ({}, ["otlp_proto_http", "otlp_proto_grpc"], "otlp_proto_http"),
        ({}, ["otlp_proto_grpc"], "otlp_proto_grpc"),
        ({"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, ["otlp_proto_http", "otlp_proto_grpc"], "otlp_proto_grpc"),
        ({"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}, [], "otlp_proto_http"),
    ],
)
def test_otlp_is_what_is_asked_for_or_installed(
    world: Global, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], installed: list[str], wanted: str
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    points = [
        EntryPoint(name, "opentelemetry.sdk.trace.export:ConsoleSpanExporter", module.GROUP) for name in installed
    ]
    monkeypatch.setattr(module, "entry_points", lambda **chosen: EntryPoints(points).select(**chosen))  # pyright: ignore[reportUnknownLambdaType, reportUnknownArgumentType]
    loaded: list[str] = []
    monkeypatch.setattr(module, "_exporter", lambda name: loaded.append(name) or ConsoleSpanExporter())  # pyright: ignore[reportUnknownLambdaType, reportUnknownArgumentType]
    with module.exporting():
        assert loaded == [wanted]


def test_what_is_missing_is_told_with_what_to_do(world: Global, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(MissingExtra, match="pip install opentelemetry-exporter-otlp-proto-http"), module.exporting():
        pass
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "telepathy")
    unknown = r"'telepathy': no installed package has it; there are .*console"
    with pytest.raises(CallerError, match=unknown), module.exporting():
        pass
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "otlp")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "smoke")
    with pytest.raises(CallerError, match="choose one of grpc, http/protobuf"), module.exporting():
        pass
    assert isinstance(world.provider, trace.ProxyTracerProvider), "nothing was set up"


@pytest.mark.parametrize(
    ("blocked", "statement", "wanted"),
    [
        ("opentelemetry", "import redurable.telemetry.tracing", "pip install 'redurable[otel]'"),
        ("opentelemetry.sdk", "from redurable.telemetry.exporting import exporting\nwith exporting(): pass", "-sdk"),
    ],
)
def test_without_the_packages_the_error_names_the_command(blocked: str, statement: str, wanted: str) -> None:
    code = f"import sys; sys.modules[{blocked!r}] = None\n{statement}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "MissingExtra" in done.stderr.splitlines()[-1]
    assert wanted in done.stderr.splitlines()[-1]


def test_redurable_itself_needs_none_of_it() -> None:
    code = "import sys; sys.modules['opentelemetry'] = None; import redurable, redurable.cli.main, redurable.testing"
    subprocess.run([sys.executable, "-c", code], check=True)
