"""Facts become metrics: right numbers, bounded labels, nothing that is never set, and a server that never hurts."""

from __future__ import annotations

import logging
import socket
from collections.abc import Sequence
from typing import Any
from urllib.request import urlopen

import pytest
from msgspec import Struct
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from redurable import facts
from redurable.facts import Fact, Facts
from redurable.telemetry.metrics import UNKNOWN, Exporter, Metrics, Names

NAMES = Names(frozenset({"process_order"}), frozenset({"charge"}), frozenset({"payments"}))

ONE_OF_EACH: Sequence[Fact] = (
    facts.InstancesStarted(("process_order", "process_order")),
    facts.InstancesFinished((("process_order", "Completed", 1.5),)),
    facts.TurnsTaken((("process_order", "ok", 0.002), ("process_order", "fenced", 0.004))),
    facts.ActivityAttempted("charge", "error", 0.25, True),
    facts.ActivityAttempted("charge", "timeout", 0.5, True),
    facts.ActivityAttempted("charge", "crashed", 0.0, True),
    facts.TaskStarted("payments", 0.02),
    facts.TimersFired((0.005, 0.2)),
    facts.MessagesRelayed("intake", 3),
    facts.DeadLettered("malformed", 2),
    facts.EventsUnclaimed("kept", 3),
    facts.EventsPiledUp("order-42", "Approval", 101),
    facts.LeasesReclaimed("task", 4),
    facts.StoreFaulted("commit", "StoreUnavailable: no answer"),
    facts.InstancesSwept(1),
    facts.TurnParked("process_order", "order-42", "unknown orchestrator", "no such orchestrator", first=True),
    facts.TurnParked("process_order", "order-42", "unknown orchestrator", "no such orchestrator", first=False),
    facts.QuarantineEnded(("process_order",)),
    facts.CacheEvicted("full", 1),
)


@pytest.fixture
def metrics() -> Metrics:
    return Metrics("orders", NAMES)


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(f"redurable_{name}", {"hub": "orders", **labels})


def samples(registry: CollectorRegistry) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in registry.collect()
        for sample in family.samples
    }


def test_each_fact_is_counted_where_it_belongs(metrics: Metrics) -> None:
    announced = Facts()
    announced.subscribe(metrics)
    for fact in ONE_OF_EACH:
        announced.announce(fact)

    expected: list[tuple[str, dict[str, str], float]] = [
        ("instances_started_total", {"type": "process_order"}, 2),
        ("instances_finished_total", {"type": "process_order", "status": "Completed"}, 1),
        ("instance_duration_seconds_sum", {"type": "process_order"}, 1.5),
        ("instance_duration_seconds_bucket", {"type": "process_order", "le": "1.0"}, 0),
        ("instance_duration_seconds_bucket", {"type": "process_order", "le": "2.0"}, 1),
        ("turns_total", {"type": "process_order", "result": "ok"}, 1),
        ("quarantines_total", {"type": "process_order", "reason": "unknown orchestrator"}, 1),
        ("quarantines_total", {"type": "process_order", "reason": "poison"}, 0),
        ("quarantines_ended_total", {"type": "process_order"}, 1),
        ("turns_total", {"type": "process_order", "result": "fenced"}, 1),
        ("turn_duration_seconds_count", {"type": "process_order"}, 2),
        ("activity_attempts_total", {"activity": "charge", "outcome": "error"}, 1),
        ("activity_attempts_total", {"activity": "charge", "outcome": "ok"}, 0),
        ("activity_attempts_total", {"activity": "charge", "outcome": "timeout"}, 1),
        ("activity_attempts_total", {"activity": "charge", "outcome": "crashed"}, 1),
        ("activity_retries_total", {"activity": "charge"}, 3),
        ("activity_duration_seconds_sum", {"activity": "charge"}, 0.75),
        ("activity_duration_seconds_count", {"activity": "charge"}, 2),
        ("schedule_to_start_seconds_sum", {"queue": "payments", "kind": "activity"}, 0.02),
        ("timers_fired_total", {}, 2),
        ("timer_lateness_seconds_bucket", {"le": "0.01"}, 1),
        ("timer_lateness_seconds_bucket", {"le": "0.5"}, 2),
        ("messages_relayed_total", {"via": "intake"}, 3),
        ("messages_relayed_total", {"via": "outbox"}, 0),
        ("messages_deadlettered_total", {"reason": "malformed"}, 2),
        ("unclaimed_events_total", {"outcome": "kept"}, 3),
        ("unclaimed_events_total", {"outcome": "dropped"}, 0),
        ("event_backlogs_total", {}, 1),
        ("leases_reclaimed_total", {"kind": "task"}, 4),
        ("store_errors_total", {"verb": "commit"}, 1),
        ("store_errors_total", {"verb": "receive_tasks"}, 0),
    ]
    assert [(name, labels, value(metrics, name, **labels)) for name, labels, _ in expected] == expected


def test_every_metric_is_set_by_some_fact(metrics: Metrics) -> None:
    before = samples(metrics.registry)
    for fact in ONE_OF_EACH:
        metrics(fact)
    after = samples(metrics.registry)

    moved = {name for (name, labels), number in after.items() if before.get((name, labels), 0) != number}
    families = {family.name for family in metrics.registry.collect()} - {"redurable_build_info"}
    assert len(families) == 19
    untouched = {family for family in families if not {f"{family}_total", f"{family}_count"} & moved}
    assert untouched == set()


@pytest.mark.parametrize(
    "fact",
    [
        facts.InstancesStarted(("someone-elses",)),
        facts.InstancesFinished((("someone-elses", "Vanished", 1.0),)),
        facts.TurnsTaken((("someone-elses", "odd", 1.0),)),
        facts.ActivityAttempted("someone-elses", "odd", 1.0, True),
        facts.TaskStarted("someone-elses", 1.0),
        facts.MessagesRelayed("odd", 1),
        facts.DeadLettered("no field 'instance' in order-4711", 1),
        facts.EventsUnclaimed("odd", 1),
        facts.LeasesReclaimed("odd", 1),
        facts.StoreFaulted("odd", "x"),
    ],
    ids=lambda fact: type(fact).__name__,
)
def test_what_outsiders_say_never_becomes_a_label(metrics: Metrics, fact: Fact) -> None:
    before = samples(metrics.registry)
    metrics(fact)
    new = {labels for _, labels in samples(metrics.registry).keys() - before.keys()}

    assert new
    texts = {text for labels in new for name, text in labels if name != "le"}
    assert texts <= {"orders", "activity", UNKNOWN}
    assert UNKNOWN in texts


def test_no_created_series_and_one_hub_on_every_series(metrics: Metrics) -> None:
    for fact in ONE_OF_EACH:
        metrics(fact)
    series = samples(metrics.registry)

    assert not [name for name, _ in series if name.endswith("_created")]
    assert {dict(labels)["hub"] for _, labels in series} == {"orders"}
    assert all(name.startswith("redurable_") for name, _ in series)


def test_served_text_is_what_prometheus_reads(metrics: Metrics) -> None:
    metrics(ONE_OF_EACH[0])
    with (
        Exporter(metrics.registry, free_port(), "127.0.0.1") as exporter,
        urlopen(f"http://127.0.0.1:{exporter.port}/metrics", timeout=5) as answer,
    ):
        text = answer.read().decode()
    families = {family.name: family for family in text_string_to_metric_families(text)}

    assert text == generate_latest(metrics.registry).decode()
    assert families["redurable_instances_started"].samples[0].value == 2
    assert families["redurable_build_info"].samples[0].labels.keys() == {"hub", "version", "python", "redis_client"}


def test_a_port_that_is_taken_is_logged_and_nothing_else_happens(
    metrics: Metrics, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with caplog.at_level(logging.WARNING), Exporter(metrics.registry, port, "127.0.0.1") as exporter:
            assert exporter.port == 0
    assert f"127.0.0.1:{port}" in caplog.text


def test_two_workers_in_one_process_do_not_meet() -> None:
    one, two = Metrics("one", NAMES), Metrics("two", NAMES)
    one(facts.InstancesStarted(("process_order",)))

    labels = {"type": "process_order"}
    assert one.registry.get_sample_value("redurable_instances_started_total", {"hub": "one", **labels}) == 1
    assert two.registry.get_sample_value("redurable_instances_started_total", {"hub": "two", **labels}) == 0


def test_facts_without_a_metric_are_passed_over(metrics: Metrics) -> None:
    class Unheard(Struct, frozen=True):
        name: str

    before = samples(metrics.registry)
    fact: Any = Unheard("x")
    metrics(fact)
    assert samples(metrics.registry) == before


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]
