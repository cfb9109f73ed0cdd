"""Metrics and probes over HTTP: right forms, right paths, a port that is taken, and a loop that is seen to hang."""

from __future__ import annotations

import json
import logging
import shutil
import socket
import subprocess
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import anyio
import pytest
from msgspec.structs import replace
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from redurable.facts import TurnsTaken, TurnTaken, WorkerSampled
from redurable.settings import MetricsSettings
from redurable.telemetry import health as health_module
from redurable.telemetry.exporter import Exporter
from redurable.telemetry.health import Health
from redurable.telemetry.metrics import Metrics
from redurable.telemetry.metrics.process import add_process
from tests.unit.test_metrics import NAMES, ONE_OF_EACH, WORKER

LOCAL = "127.0.0.1"


@pytest.fixture
def metrics() -> Metrics:
    made = Metrics("orders", NAMES)
    for fact in ONE_OF_EACH:
        made(fact)
    return made


@pytest.fixture
def health() -> Health:
    return Health(MetricsSettings(live_within_ms=30_000, ready_within_ms=10_000))


@pytest.fixture
def served(metrics: Metrics, health: Health) -> Iterator[str]:
    with Exporter(metrics.registry, 0, LOCAL, health) as exporter:
        yield f"http://{LOCAL}:{exporter.port}"


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How many seconds the process has slept: the clock of the probes, which stands still unless a test moves it."""
    slept = [0.0]
    monkeypatch.setattr(health_module, "time", SimpleNamespace(monotonic=lambda: slept[0]))
    return slept


def get(url: str, **headers: str) -> tuple[int, str, bytes]:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    try:
        with urlopen(Request(url, headers=names), timeout=15) as answer:
            return answer.status, answer.headers["Content-Type"], answer.read()
    except HTTPError as error:
        with error:
            return error.code, error.headers["Content-Type"], error.read()


def probe(url: str) -> tuple[int, list[str]]:
    status, kind, body = get(url)
    assert kind == "application/json"
    said: dict[str, Any] = json.loads(body)
    assert said["ok"] == (status == 200) == (not said["why"])
    return status, said["why"]


def test_served_text_is_what_prometheus_reads(served: str, metrics: Metrics) -> None:
    status, kind, body = get(f"{served}/metrics")
    assert (status, kind.partition(";")[0]) == (200, "text/plain")
    assert body == generate_latest(metrics.registry)
    families = {family.name: family for family in text_string_to_metric_families(body.decode())}
    assert families["redurable_instances_started"].samples[0].value == 1
    assert families["redurable_build_info"].samples[0].labels.keys() == {"hub", "version", "python", "redis_client"}


def test_exemplars_come_to_who_asks_for_open_metrics(served: str, metrics: Metrics) -> None:
    metrics(TurnsTaken((TurnTaken("process_order", "order-77", "ok", 0.002),)))
    status, kind, body = get(f"{served}/metrics", Accept="application/openmetrics-text; version=1.0.0")
    assert (status, kind.partition(";")[0]) == (200, "application/openmetrics-text")
    assert b'# {instance_id="order-77"}' in body
    assert body.endswith(b"# EOF\n")
    assert b"order-77" not in get(f"{served}/metrics")[2]


def test_large_answers_are_compressed_for_who_likes_that(served: str) -> None:
    _, _, body = get(f"{served}/metrics", Accept_Encoding="gzip")
    assert body[:2] == b"\x1f\x8b"


def test_other_paths_say_what_there_is(served: str) -> None:
    for path in ("/", "/health", "/metrics/x"):
        status, _, body = get(served + path)
        assert (status, body) == (404, b"here are /metrics, /livez, /readyz\n")


def test_without_health_there_are_no_probes(metrics: Metrics) -> None:
    with Exporter(metrics.registry, 0, LOCAL) as exporter:
        assert get(f"http://{LOCAL}:{exporter.port}/livez")[0] == 404


def test_a_port_that_is_taken_is_logged_and_nothing_else_happens(
    metrics: Metrics, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.create_server((LOCAL, 0)) as taken:
        port = taken.getsockname()[1]
        with caplog.at_level(logging.WARNING), Exporter(metrics.registry, port, LOCAL) as exporter:
            assert exporter.port == 0
    assert f"{LOCAL}:{port}" in caplog.text


def test_no_name_server_is_asked(metrics: Metrics, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(socket, "getfqdn", asked.append)
    with Exporter(metrics.registry, 0, "0.0.0.0") as exporter:
        assert get(f"http://{LOCAL}:{exporter.port}/metrics")[0] == 200
    assert asked == []


def test_an_address_may_be_one_of_ipv6(metrics: Metrics) -> None:
    try:  # Python may know IPv6 where the machine has no such address, as in many containers.
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError as error:
        pytest.skip(f"this machine has no address ::1: {error}")
    with Exporter(metrics.registry, 0, "::1") as exporter:
        assert get(f"http://[::1]:{exporter.port}/metrics")[0] == 200


def test_a_client_that_hangs_up_disturbs_nobody(served: str) -> None:
    host, port = served.removeprefix("http://").split(":")
    for _ in range(20):
        with socket.create_connection((host, int(port))) as client:
            client.sendall(b"GET /metrics HTTP/1.1\r\n\r\n")
    assert get(f"{served}/metrics")[0] == 200


def test_a_worker_that_begins_is_alive_and_not_ready(served: str) -> None:
    assert probe(f"{served}/livez") == (200, [])
    assert probe(f"{served}/readyz") == (503, ["the worker has not begun"])


def test_a_worker_that_works_is_alive_and_ready(served: str, health: Health) -> None:
    health(_working())
    assert probe(f"{served}/livez") == (200, [])
    assert probe(f"{served}/readyz") == (200, [])


def test_a_loop_that_hangs_is_seen_from_the_outside(served: str, health: Health, clock: list[float]) -> None:
    health(_working())
    clock[0] += 31
    assert probe(f"{served}/livez") == (503, ["the event loop has stood still for 31 s"])
    assert probe(f"{served}/readyz")[0] == 503


def test_turns_without_end_are_no_life(served: str, health: Health) -> None:
    health(_working(silent=31.0))
    assert probe(f"{served}/livez") == (503, ["no turn has ended, and no work was asked for, for 31 s"])


def test_a_store_that_is_gone_makes_nobody_restart(served: str, health: Health) -> None:
    health(_working(store_silent=500.0))
    assert probe(f"{served}/livez") == (200, [])
    assert probe(f"{served}/readyz") == (503, ["the store was last heard of 500 s ago"])


def test_who_drains_is_alive_and_not_ready(served: str, health: Health) -> None:
    health(_working(draining=True, silent=40.0))
    assert probe(f"{served}/livez") == (200, [])
    assert probe(f"{served}/readyz") == (503, ["the worker finishes what it runs, and takes on nothing new"])


async def test_the_beat_needs_no_worker(served: str, health: Health, clock: list[float]) -> None:
    clock[0] += 31  # as long as an import may take, or a store that is not there yet
    async with anyio.create_task_group() as group:
        group.start_soon(health.beat)
        await anyio.lowlevel.checkpoint()
        assert (await anyio.to_thread.run_sync(probe, f"{served}/livez"))[0] == 200
        group.cancel_scope.cancel()


@pytest.mark.requires_tool("promtool", package="prometheus")
def test_promtool_finds_nothing_to_say(metrics: Metrics) -> None:
    add_process(metrics.registry)
    promtool = shutil.which("promtool") or ""
    text = generate_latest(metrics.registry)
    done = subprocess.run([promtool, "check", "metrics"], input=text, capture_output=True, check=False)
    assert (done.returncode, done.stdout.decode(), done.stderr.decode()) == (0, "", "")


def _working(**changes: Any) -> WorkerSampled:
    return replace(WORKER, **({"draining": False, "silent": 0.0} | changes))
