"""Tests of the alerts about workers."""

from __future__ import annotations

from prometheus.case import Case, fires, histogram, of, silent

W1 = {"job": "workers", "instance": "w1"}
W2 = {"job": "workers", "instance": "w2"}


def _up(values: str) -> dict[str, str]:
    return {'up{job="workers", instance="w1"}': values}


def _backlog(lag: str, pending: str = "0x60", due: str = "0x60") -> dict[str, str]:
    return (
        of("stream_lag_messages", lag, queue="default")
        | of("stream_pending_messages", pending, queue="default")
        | of("timers_due", due)
    )


def _queue(consumers: str, length: str) -> dict[str, str]:
    return of("stream_consumers", consumers, queue="default") | of("stream_length_messages", length, queue="default")


def _slots(used: str) -> dict[str, str]:
    return of("worker_slots", "100x60", kind="activity") | of("worker_slots_used", used, kind="activity")


def _turns(fenced: str, ok: str) -> dict[str, str]:
    return of("turns_total", fenced, type="order", result="fenced") | of("turns_total", ok, type="order", result="ok")


def _cache(hits: str, misses: str, evictions: str) -> dict[str, str]:
    return (
        of("cache_hits_total", hits)
        | of("cache_misses_total", misses)
        | of("cache_evictions_total", evictions, reason="full")
    )


def _loop(late: str, all_of_them: str) -> dict[str, str]:
    return histogram("event_loop_lag_seconds", {"0.1": late, "1.0": all_of_them, "+Inf": all_of_them}, **W1)


WORKER_CASES: tuple[Case, ...] = (
    fires("RedurableNoPollers", "entries, and nobody who takes them", _queue("0x60", "3x60"), queue="default"),
    silent("RedurableNoPollers", "an idle queue of workers that were scaled to zero", _queue("0x60", "0x60")),
    silent("RedurableNoPollers", "a rolling deploy: three minutes without", _queue("2x56 0x3", "3x60")),
    fires(
        "RedurableHubAbandoned",
        "the workers are gone, and had not finished",
        _backlog("4x30 stale", "1x30 stale", "0x30 stale") | of("build_info", "1x30 stale", **W1),
    ),
    silent(
        "RedurableHubAbandoned",
        "scaled to zero when all was done",
        _backlog("4x20 0x10 stale", "1x20 0x10 stale", "0x30 stale") | of("build_info", "1x30 stale", **W1),
    ),
    silent(
        "RedurableHubAbandoned",
        "another worker has taken over what the first exported",
        _backlog("4x30 stale") | of("build_info", "1x30 stale", **W1) | of("build_info", "_x30 1x30", **W2),
    ),
    silent(
        "RedurableHubAbandoned",
        "all workers are replaced at once: three minutes",
        _backlog("4x56 stale") | of("build_info", "1x56 stale", **W1),
        at="59m",
    ),
    fires(
        "RedurableWorkerDown",
        "a target that has stopped answering",
        _up("1x30 0x30") | of("build_info", "1x30 stale", **W1),
        **W1,
    ),
    silent(
        "RedurableWorkerDown",
        "a pod that was deleted is no target any more",
        _up("1x30 stale") | of("build_info", "1x30 stale", **W1),
    ),
    silent(
        "RedurableWorkerDown",
        "a restart: five minutes",
        _up("1x30 0x5 1x25") | of("build_info", "1x30 stale _x5 1x24", **W1),
        at="35m",
    ),
    fires(
        "RedurableWorkerStuck",
        "no poll for half an hour",
        of("worker_last_poll_timestamp_seconds", "0+60x30 1800x30", **W1),
        **W1,
    ),
    silent("RedurableWorkerStuck", "an idle worker polls", of("worker_last_poll_timestamp_seconds", "0+60x60", **W1)),
    silent(
        "RedurableWorkerStuck",
        "Redis was away for four minutes",
        of("worker_last_poll_timestamp_seconds", "0+60x50 3000x4 3300+60x5", **W1),
        at="54m",
    ),
    silent(
        "RedurableWorkerStuck",
        "a worker that drains takes nothing new",
        of("worker_last_poll_timestamp_seconds", "0+60x30 1800x30", **W1) | of("worker_draining", "0x30 1x30", **W1),
    ),
    fires(
        "RedurableSlotsExhausted", "all taken, and more waits", _slots("100x60") | _backlog("50x60"), kind="activity"
    ),
    silent("RedurableSlotsExhausted", "all taken, and nothing waits", _slots("100x60") | _backlog("0x60")),
    silent("RedurableSlotsExhausted", "a peak of ten minutes", _slots("20x50 100x10") | _backlog("50x60")),
    fires("RedurableEventLoopBlocked", "most wake-ups are late", _loop("0+1x60", "0+60x60"), **W1),
    silent("RedurableEventLoopBlocked", "all wake-ups are punctual", _loop("0+60x60", "0+60x60")),
    fires(
        "RedurableLeasesFlapping",
        "leases change hands all the time",
        of("leases_reclaimed_total", "0+12x60", kind="task"),
        kind="task",
    ),
    silent(
        "RedurableLeasesFlapping",
        "one worker was killed, and all it held was taken over",
        of("leases_reclaimed_total", "0x50 300x10", kind="task"),
    ),
    fires("RedurableCommitConflictsHigh", "one turn in ten", _turns("0+10x60", "0+90x60")),
    silent("RedurableCommitConflictsHigh", "one turn in a hundred", _turns("0+1x60", "0+99x60")),
    silent("RedurableCommitConflictsHigh", "an idle hub", _turns("0x60", "0x60")),
    fires(
        "RedurableCacheThrashing",
        "full, and what was dropped is wanted",
        _cache("0+10x120", "0+90x120", "0+90x120"),
        at="120m",
    ),
    silent(
        "RedurableCacheThrashing", "misses of a cache that is new", _cache("0+10x120", "0+90x120", "0x120"), at="120m"
    ),
    silent(
        "RedurableCacheThrashing",
        "what is dropped is not wanted",
        _cache("0+90x120", "0+10x120", "0+90x120"),
        at="120m",
    ),
)
