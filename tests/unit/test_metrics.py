"""Facts become metrics: right numbers, bounded labels, nothing that is never set, and a server that never hurts."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, get_args

import pytest
from msgspec import Struct
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from redurable import facts
from redurable.facts import Fact, Facts, HubSampled, StreamSampled, TurnTaken, WorkerSampled
from redurable.telemetry.metrics import UNKNOWN, Metrics, Names
from redurable.telemetry.metrics.metrics import TABLES

NAMES = Names(frozenset({"process_order"}), frozenset({"charge"}), frozenset({"payments"}))
HUB = HubSampled(
    streams=(StreamSampled("_ready", 5, 3, 2, 1, 0.5, 1.5), StreamSampled("_intake", 4, 4)),
    instances=(("process_order", "Running", 7),),
    workers=(("orchestrations", 2), ("activities", 1)),
    quarantined=9,
    dead=6,
    timers=8,
    due=1,
    valid=60.0,
)
WORKER = WorkerSampled(
    slots=(("activity", 100, 3), ("activity_thread", 16, 2), ("orchestrator", 3, 1)),
    cached=5,
    cached_bytes=900,
    most_cached=50,
    most_cached_bytes=9000,
    instances_held=4,
    tasks_held=3,
    draining=True,
    silent=2.0,
    store_silent=0.1,
    lags=(0.002, 0.2),
)
STORE = facts.StoreSampled(
    calls=(("commit", 0.003), ("xadd", 0.0002)), errors=(("commit", "timeout"),), reconnects=1, idle=2, in_use=1
)

ONE_OF_EACH: Sequence[Fact] = (
    facts.InstancesStarted((("process_order", "client"), ("process_order", "child"))),
    facts.InstancesFinished((("process_order", "Completed", 1.5, "order-42", ""),)),
    facts.InstancesPurged((("Completed", 3), ("Failed", 1))),
    facts.TurnsTaken(
        (
            TurnTaken("process_order", "order-42", "ok", 0.002, "cached", 12, 0.5, filled=0.85),
            TurnTaken("process_order", "order-43", "fenced", 0.004, "replayed"),
        )
    ),
    facts.CommitsConflicted("fenced", 1),
    facts.PayloadsMoved((("result", 300), ("event", 4))),
    facts.PayloadsRejected("invalid_payload", 1),
    facts.ActivityAttempted("charge", "error", 0.25, True, "order-42", "ValueError"),
    facts.ActivityAttempted("charge", "timeout", 0.5, True, "order-42", "StartToCloseTimeout"),
    facts.ActivityAttempted("charge", "crashed", 0.0, True, "order-42", "CardDeclined"),
    facts.TaskStarted("payments", 0.02),
    facts.TimersFired((0.005, 0.2)),
    facts.MessagesRelayed("intake", 3),
    facts.DeadLettered("malformed", 2),
    facts.EventsUnclaimed("kept", 3),
    facts.EventsPiledUp("order-42", "Approval", 101),
    facts.LeasesReclaimed("task", 4),
    facts.StoreFaulted("commit", "StoreUnavailable: no answer"),
    facts.StoreFaulted("receive_tasks", "StoreUnavailable: no answer"),
    facts.StoreFaulted("receive", "StoreUnavailable: no answer"),
    facts.InstancesSwept(2),
    facts.TurnParked("process_order", "order-42", "nondeterminism", "no such call", first=True),
    facts.TurnParked("process_order", "order-42", "nondeterminism", "no such call", first=False),
    facts.QuarantineEnded(("process_order",)),
    facts.CacheEvicted("full", 1),
    facts.Polled((("_ready", 3), ("payments", 0))),
    facts.MessagesEnded((("_ready", 2, 1),)),
    facts.MessagesReclaimed((("payments", 2),)),
    facts.LeasesHandled("renew", 5, 1),
    WORKER,
    STORE,
    HUB,
)


EXPECTED: list[tuple[str, dict[str, str], float]] = [
    ("instances_started_total", {"type": "process_order", "trigger": "client"}, 1),
    ("instances_started_total", {"type": "process_order", "trigger": "continue_as_new"}, 0),
    ("instances_finished_total", {"type": "process_order", "status": "Completed"}, 1),
    ("instance_duration_seconds_sum", {"type": "process_order"}, 1.5),
    ("instance_duration_seconds_bucket", {"type": "process_order", "le": "1.0"}, 0),
    ("instance_duration_seconds_bucket", {"type": "process_order", "le": "2.0"}, 1),
    ("instances_purged_total", {"status": "Completed"}, 3),
    ("turns_total", {"type": "process_order", "result": "ok"}, 1),
    ("turns_total", {"type": "process_order", "result": "fenced"}, 1),
    ("turn_duration_seconds_count", {"type": "process_order"}, 2),
    ("replay_duration_seconds_sum", {"type": "process_order"}, 0.004),
    ("history_events_sum", {"type": "process_order"}, 12),
    ("history_cap_ratio_bucket", {"type": "process_order", "le": "0.8"}, 0),
    ("history_cap_ratio_bucket", {"type": "process_order", "le": "0.9"}, 1),
    ("cache_hits_total", {}, 1),
    ("cache_misses_total", {}, 1),
    ("cache_evictions_total", {"reason": "full"}, 1),
    ("nondeterminism_errors_total", {"type": "process_order"}, 1),
    ("quarantines_total", {"type": "process_order", "reason": "nondeterminism"}, 1),
    ("quarantines_total", {"type": "process_order", "reason": "poison"}, 0),
    ("quarantines_ended_total", {"type": "process_order"}, 1),
    ("commit_conflicts_total", {"reason": "fenced"}, 1),
    ("payload_bytes_sum", {"kind": "result"}, 300),
    ("payload_rejected_total", {"reason": "invalid_payload"}, 1),
    ("activity_attempts_total", {"activity": "charge", "outcome": "error"}, 1),
    ("activity_attempts_total", {"activity": "charge", "outcome": "ok"}, 0),
    ("activity_attempts_total", {"activity": "charge", "outcome": "crashed"}, 1),
    ("activity_retries_total", {"activity": "charge"}, 3),
    ("activity_duration_seconds_sum", {"activity": "charge"}, 0.75),
    ("activity_duration_seconds_count", {"activity": "charge"}, 2),
    ("activity_failures_total", {"activity": "charge", "error": "ValueError"}, 1),
    ("activity_failures_total", {"activity": "charge", "error": "StartToCloseTimeout"}, 1),
    ("activity_failures_total", {"activity": "charge", "error": "_other"}, 1),
    ("schedule_to_start_seconds_sum", {"queue": "payments", "kind": "activity"}, 0.02),
    ("schedule_to_start_seconds_sum", {"queue": "_ready", "kind": "orchestrator"}, 0.5),
    ("schedule_to_start_seconds_count", {"queue": "_ready", "kind": "orchestrator"}, 1),
    ("messages_read_total", {"queue": "_ready"}, 3),
    ("messages_acked_total", {"queue": "_ready"}, 2),
    ("messages_deduplicated_total", {"queue": "_ready"}, 1),
    ("messages_reclaimed_total", {"queue": "payments"}, 2),
    ("polls_total", {"queue": "_ready", "result": "hit"}, 1),
    ("polls_total", {"queue": "_ready", "result": "error"}, 1),
    ("polls_total", {"queue": "payments", "result": "empty"}, 1),
    ("polls_total", {"queue": "payments", "result": "error"}, 1),
    ("poll_batch_messages_sum", {"queue": "_ready"}, 3),
    ("timers_fired_total", {}, 2),
    ("timer_lateness_seconds_bucket", {"le": "0.01"}, 1),
    ("timer_lateness_seconds_bucket", {"le": "0.5"}, 2),
    ("messages_relayed_total", {"via": "intake"}, 3),
    ("messages_relayed_total", {"via": "outbox"}, 0),
    ("messages_deadlettered_total", {"reason": "malformed"}, 2),
    ("unclaimed_events_total", {"outcome": "kept"}, 3),
    ("event_backlogs_total", {}, 1),
    ("leases_reclaimed_total", {"kind": "task"}, 4),
    ("lease_operations_total", {"op": "renew", "result": "ok"}, 5),
    ("lease_operations_total", {"op": "renew", "result": "lost"}, 1),
    ("instances_swept_total", {}, 2),
    ("store_errors_total", {"verb": "commit"}, 1),
    ("store_errors_total", {"verb": "relay"}, 0),
    ("worker_slots", {"kind": "activity"}, 100),
    ("worker_slots_used", {"kind": "activity_thread"}, 2),
    ("worker_draining", {}, 1),
    ("leases_held", {"kind": "instance"}, 4),
    ("cache_entries", {}, 5),
    ("cache_max_bytes", {}, 9000),
    ("event_loop_lag_seconds_count", {}, 2),
    ("redis_command_duration_seconds_sum", {"op": "commit"}, 0.003),
    ("redis_errors_total", {"op": "commit", "error": "timeout"}, 1),
    ("redis_reconnects_total", {}, 1),
    ("redis_pool_connections", {"state": "idle"}, 2),
    ("instances_open", {"type": "process_order", "status": "Running"}, 7),
    ("stream_lag_messages", {"queue": "_ready"}, 3),
    ("stream_length_messages", {"queue": "_intake"}, 4),
    ("stream_oldest_pending_age_seconds", {"queue": "_ready"}, 1.5),
    ("instances_quarantined", {}, 9),
    ("deadletter_messages", {}, 6),
    ("timers_pending", {}, 8),
    ("timers_due", {}, 1),
    ("workers", {"role": "orchestrations"}, 2),
]


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

    assert [(name, labels, value(metrics, name, **labels)) for name, labels, _ in EXPECTED] == EXPECTED


def test_every_metric_is_set_by_some_fact_and_every_fact_but_few_sets_one(metrics: Metrics) -> None:
    at_once = {"redurable_build_info", "redurable_worker_start_time_seconds"}
    before, silent = samples(metrics.registry), set[type[Fact]]()
    for fact in ONE_OF_EACH:
        earlier = samples(metrics.registry)
        metrics(fact)
        if samples(metrics.registry) == earlier:
            silent.add(type(fact))
    after = samples(metrics.registry)

    moved = {name for (name, labels), number in after.items() if before.get((name, labels), 0) != number}
    declared = {metric.full_name: metric.kind for _, table in TABLES for metric in table}
    assert len(declared) >= 65
    counted = {name if kind != "histogram" else f"{name}_count" for name, kind in declared.items()}
    assert counted - moved - at_once == set()
    assert {type(fact) for fact in ONE_OF_EACH} == set(get_args(Fact)) - {facts.HubLeft, facts.SpansEnded}
    assert silent - {facts.TurnParked} == set()  # The second one of the same quarantine is no news.


@pytest.mark.parametrize(
    "fact",
    [
        facts.InstancesStarted((("someone-elses", "odd"),)),
        facts.InstancesFinished((("someone-elses", "Vanished", 1.0, "x", ""),)),
        facts.TurnsTaken((TurnTaken("someone-elses", "x", "odd", 1.0, "replayed", 5, 1.0),)),
        facts.ActivityAttempted("someone-elses", "odd", 1.0, True, "x", "my secret text"),
        facts.Polled((("someone-elses", 3),)),
        facts.MessagesEnded((("someone-elses", 3, 1),)),
        facts.LeasesHandled("odd", 1, 1),
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
    assert texts <= {"orders", "activity", "orchestrator", "_ready", "_other", "hit", "ok", "lost", UNKNOWN}
    assert UNKNOWN in texts


def test_no_created_series_and_one_hub_on_every_series(metrics: Metrics) -> None:
    for fact in ONE_OF_EACH:
        metrics(fact)
    series = samples(metrics.registry)

    assert not [name for name, _ in series if name.endswith("_created")]
    assert {dict(labels)["hub"] for _, labels in series} == {"orders"}
    assert all(name.startswith("redurable_") for name, _ in series)


def test_every_verb_that_a_worker_repeats_has_a_series(metrics: Metrics) -> None:
    for verb in ("commit", "counts", "depths", "history"):
        metrics(facts.StoreFaulted(verb, "StoreUnavailable: no answer"))
        assert value(metrics, "store_errors_total", verb=verb) == 1


def test_what_a_server_sends_grows_only_to_a_limit(metrics: Metrics) -> None:
    metrics(facts.StoreSampled(calls=tuple((f"op-{number}", 0.001) for number in range(500))))
    ops = {dict(labels).get("op") for name, labels in samples(metrics.registry) if "command_duration" in name}
    assert len(ops) == 101
    assert UNKNOWN in ops


def test_what_is_said_of_the_hub_vanishes_with_who_says_it(metrics: Metrics, monkeypatch: pytest.MonkeyPatch) -> None:
    def shown() -> bool:
        return any(name == "redurable_stream_lag_messages" for name, _ in samples(metrics.registry))

    assert not shown()
    metrics(HUB)
    assert shown()
    metrics(facts.HubLeft())
    assert not shown()
    metrics(HUB)
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + HUB.valid + 1)
    assert not shown()


def test_exemplars_say_whose_an_observation_is(metrics: Metrics) -> None:
    long = "x" * 200
    metrics(facts.TurnsTaken((TurnTaken("process_order", "order-42", "ok", 0.002),)))
    metrics(facts.TurnsTaken((TurnTaken("process_order", long, "ok", 0.3),)))
    encode, _ = choose_encoder("application/openmetrics-text")
    metrics(facts.TurnsTaken((TurnTaken("process_order", "order-43", "ok", 0.02, trace_id="ab" * 16),)))
    text = encode(metrics.registry).decode()
    assert f'{{instance_id="order-43",trace_id="{"ab" * 16}"}}' in text
    assert 'instance_id="order-42"' in text
    assert long not in text


def test_waits_of_activities_and_ends_have_exemplars_too(metrics: Metrics) -> None:
    trace = "ab" * 16
    metrics(facts.TaskStarted("payments", 0.02, "order-42", trace))
    metrics(facts.InstancesFinished((("process_order", "Completed", 1.5, "order-43", trace),)))
    encode, _ = choose_encoder("application/openmetrics-text")
    text = encode(metrics.registry).decode()
    for instance in ("order-42", "order-43"):
        assert f'{{instance_id="{instance}",trace_id="{trace}"}}' in text


def test_two_workers_in_one_process_do_not_meet() -> None:
    one, two = Metrics("one", NAMES), Metrics("two", NAMES)
    one(facts.InstancesStarted((("process_order", "client"),)))

    labels = {"type": "process_order", "trigger": "client"}
    assert one.registry.get_sample_value("redurable_instances_started_total", {"hub": "one", **labels}) == 1
    assert two.registry.get_sample_value("redurable_instances_started_total", {"hub": "two", **labels}) == 0


def test_facts_without_a_metric_are_passed_over(metrics: Metrics) -> None:
    class Unheard(Struct, frozen=True):
        name: str

    before = samples(metrics.registry)
    fact: Any = Unheard("x")
    metrics(fact)
    assert samples(metrics.registry) == before


def test_a_subscriber_that_goes_wrong_harms_neither_work_nor_others(caplog: pytest.LogCaptureFixture) -> None:
    def broken(fact: Fact) -> None:
        raise ValueError("a defect")

    heard: list[Fact] = []
    told = Facts()
    told.subscribe(broken)
    told.subscribe(heard.append)
    for fact in (HUB, WORKER):
        told.announce(fact)
    assert heard == [HUB, WORKER]
    assert caplog.text.count("is told of once") == 1
