"""The benchmarks themselves: what they print, and that figures of a wrong result or a careless server are refused."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

import benchmarks.server
from benchmarks import report
from benchmarks.__main__ import main, start
from benchmarks.bench import Sizes
from benchmarks.errors import BenchmarkFailed
from benchmarks.server import Settings
from benchmarks.suite import WORKLOADS
from redurable import App, OrchestrationContext

KEYS = [
    "hello_sequence_per_s",
    "hello_sequence_p50_ms",
    "hello_sequence_p99_ms",
    "fan_out_1000_per_s",
    "fan_out_10000_per_s",
    "chain_500_per_s",
    "children_200_s",
    "events_500_per_s",
    "cancel_p50_ms",
    "cancel_p99_ms",
    "intake_per_s",
    "sweep_redis_percent",
    "sweep_worker_percent",
    "sweep_busy_redis_percent",
    "sweep_busy_worker_percent",
    "sweep_heard_ms",
    "query_page_ms",
    "query_counts_ms",
    "index_start_percent",
    "index_turn_percent",
    "cold_replay_events_per_s",
    "turn_us_at_10",
    "turn_us_at_10000",
    "floor_hello_per_s",
    "floor_chain_per_s",
    "redis_xadd_p1_per_s",
    "server_version",
    "appendfsync",
]
TINY = Sizes(
    hello=30,
    latencies=3,
    warm_up=3,
    fan_out=5,
    fan_out_large=20,
    chain=5,
    children=3,
    events=4,
    intake=12,
    waiting=20,
    listed=300,
    lives=100,
    unannounced=2,
    settle_seconds=0.1,
    window_seconds=0.2,
    replayed_events=9,
    turn_at=40,
    turn_samples=3,
    xadds=100,
    repeats=1,
    chains=1,
    limit_seconds=25.0,
)

wrong = App("wrong")
deadly = App("deadly")


@wrong.orchestrator
async def hello_sequence(ctx: OrchestrationContext) -> list[str]:
    return ["Hello Tokyo!", "Hello Seattle!", "Hello nobody!"]


@deadly.orchestrator(name="hello_sequence")
async def dies(ctx: OrchestrationContext) -> None:
    os._exit(3)


def test_every_workload_gives_its_figures_and_the_last_line_has_all_keys(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "figures.json"
    assert start(list(WORKLOADS), path, "valkey", sizes=TINY) == 0
    lines = capsys.readouterr().out.splitlines()
    figures = json.loads(lines[-1])
    assert list(figures) == KEYS
    assert figures["server_version"].startswith("valkey ")
    assert figures["appendfsync"] == "everysec"
    assert {key for key in report.UNITS if not figures[key] > 0} == set()
    assert json.loads(path.read_text()) == figures
    table = "\n".join(lines[:-1])
    assert all(key in table for key in report.UNITS)
    assert "hello_sequence_per_s / floor_hello_per_s" in table


def test_a_wrong_result_ends_the_run_with_1(capsys: pytest.CaptureFixture[str]) -> None:
    assert start(["hello_sequence"], server="valkey", sizes=TINY, target=f"{__name__}:wrong") == 1
    said = capsys.readouterr()
    assert (
        "the benchmark failed: hello_sequence returned ['Hello Tokyo!', 'Hello Seattle!', 'Hello nobody!']" in said.err
    )
    assert "hello_sequence_per_s" not in said.out


def test_a_worker_that_dies_ends_the_run_with_1(capsys: pytest.CaptureFixture[str]) -> None:
    assert start(["hello_sequence"], server="valkey", sizes=TINY, target=f"{__name__}:deadly") == 1
    assert "failed: the worker ended with code 3 while it was measured" in capsys.readouterr().err


def test_a_server_that_does_not_keep_what_it_is_told_ends_the_run_with_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    careless = tuple("no" if option == "everysec" else option for option in benchmarks.server.OPTIONS)
    monkeypatch.setattr(benchmarks.server, "OPTIONS", careless)
    assert start(["turn"], server="valkey", sizes=TINY) == 1
    assert "the server says appendonly yes, appendfsync no" in capsys.readouterr().err


def test_the_server_has_to_write_an_aof() -> None:
    with pytest.raises(BenchmarkFailed, match="appendonly no"):
        Settings("redis 7.0.15", "no", "everysec").check()


def test_what_was_not_measured_is_null() -> None:
    figures = json.loads(
        report.json_line({"chain_500_per_s": 1234.56, "turn_us_at_10": 21.2346}, "redis 7", "everysec")
    )
    assert list(figures) == KEYS
    measured = {key: value for key, value in figures.items() if value is not None}
    assert measured == {
        "chain_500_per_s": 1235,
        "turn_us_at_10": 21.235,
        "server_version": "redis 7",
        "appendfsync": "everysec",
    }


def test_targets_are_judged_against_the_floor_of_the_same_run() -> None:
    figures = {"chain_500_per_s": 1000.0, "floor_chain_per_s": 2000.0, "hello_sequence_p50_ms": 3.0}
    assert report.table(figures, {}).splitlines()[-2:] == [
        "MISSED  chain_500_per_s / floor_chain_per_s = 0.50, at least 0.6",
        "met     hello_sequence_p50_ms = 3.00, at most 4",
    ]


def test_an_unknown_workload_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["--only", "hello_sequence,speed"])
    assert "no workload speed: choose from hello_sequence, chain_500" in capsys.readouterr().err
