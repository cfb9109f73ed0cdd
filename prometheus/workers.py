"""Alerts about workers: are they there, do they take work, have they room for it."""

from __future__ import annotations

from prometheus.model import Alert, Group
from prometheus.recordings import FENCED_RATIO, LAG, LOOP_P99, MISSES_RATIO, UNFINISHED

WORKERS = Group(
    "redurable.workers",
    (
        Alert(
            "RedurableNoPollers",
            "max by (hub, queue) (redurable_stream_consumers) == 0\n"
            "  and on (hub, queue) max by (hub, queue) (redurable_stream_length_messages) > 0",
            "5m",
            "critical",
            "Nobody serves {{ $labels.queue }} of hub {{ $labels.hub }}",
            "Entries wait in {{ $labels.queue }}, and no worker has asked for them within a minute. They wait "
            "until one does.",
            "redurable-workers",
        ),
        Alert(
            "RedurableHubAbandoned",
            f"last_over_time({UNFINISHED}[1h]) > 0\n  unless on (hub) max by (hub) (redurable_build_info)",
            "5m",
            "critical",
            "Hub {{ $labels.hub }} has work and no workers",
            "When its last worker was seen, {{ $value }} entries and timers of hub {{ $labels.hub }} were unfinished. "
            "Nothing there goes on.",
            "redurable-overview",
        ),
        Alert(
            "RedurableWorkerDown",
            "max by (hub, job, instance) (last_over_time(redurable_build_info[1h]))\n  and on (job, instance) up == 0",
            "10m",
            "warning",
            "Worker {{ $labels.instance }} of hub {{ $labels.hub }} does not answer",
            "It was scraped within the last hour, is still a target, and does not answer any more.",
            "redurable-workers",
        ),
        Alert(
            "RedurableWorkerStuck",
            "time() - max by (hub, job, instance) (redurable_worker_last_poll_timestamp_seconds) > 60\n"
            "  unless on (job, instance) redurable_worker_draining == 1",
            "5m",
            "critical",
            "Worker {{ $labels.instance }} of hub {{ $labels.hub }} asks for no work",
            "Its process lives, but has not asked the store for work for {{ $value | humanizeDuration }}.",
            "redurable-workers",
        ),
        Alert(
            "RedurableSlotsExhausted",
            "(sum by (hub, kind) (redurable_worker_slots_used) / (sum by (hub, kind) (redurable_worker_slots) > 0)"
            " >= 0.99)\n"
            f"  and on (hub) max by (hub) ({LAG}) > 0",
            "15m",
            "warning",
            "All slots of kind {{ $labels.kind }} in hub {{ $labels.hub }} are taken",
            "{{ $value | humanizePercentage }} of the slots have been taken for 15 minutes, and work waits.",
            "redurable-workers",
        ),
        Alert(
            "RedurableEventLoopBlocked",
            f"{LOOP_P99} > 0.5",
            "10m",
            "warning",
            "The event loop of {{ $labels.instance }} (hub {{ $labels.hub }}) is held up",
            "It wakes {{ $value | humanizeDuration }} late (p99). Leases may run out, and cancellations come late.",
            "redurable-workers",
        ),
        Alert(
            "RedurableLeasesFlapping",
            "sum by (hub, kind) (rate(redurable_leases_reclaimed_total[5m])) > 0.1",
            "15m",
            "warning",
            "Workers of hub {{ $labels.hub }} lose leases of kind {{ $labels.kind }}",
            "{{ $value | humanize }} leases a second have been taken over from silent workers for 15 minutes: work is "
            "done twice.",
            "redurable-workers",
        ),
        Alert(
            "RedurableCommitConflictsHigh",
            f"{FENCED_RATIO} > 0.05\n  and on (hub) sum by (hub) (rate(redurable_turns_total[10m])) > 0.1",
            "15m",
            "warning",
            "Turns of hub {{ $labels.hub }} are taken in vain",
            "{{ $value | humanizePercentage }} of the turns lost to another worker that had taken the instance over.",
            "redurable-workers",
        ),
        Alert(
            "RedurableCacheThrashing",
            f"{MISSES_RATIO} > 0.5\n"
            '  and on (hub) sum by (hub) (rate(redurable_cache_evictions_total{reason="full"}[15m])) > 0.1',
            "30m",
            "warning",
            "The caches of hub {{ $labels.hub }} are too small",
            "{{ $value | humanizePercentage }} of the turns replay their history, because caches are full and drop "
            "what is needed again.",
            "redurable-workers",
        ),
    ),
)
