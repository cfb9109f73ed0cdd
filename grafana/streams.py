"""What lies in Redis, and how Redis answers."""

from __future__ import annotations

from grafana import shared, variables
from grafana.model import Dashboard, Panel, Query, Row, bad_from, stat
from grafana.queries import (
    HUB,
    QUEUE,
    RECENTLY,
    SHOWN,
    buckets,
    increase,
    of_hub,
    only_some,
    or_zero,
    quantile,
    rate,
    total,
)

LATE = "redurable_timer_lateness_seconds"
COMMAND = "redurable_redis_command_duration_seconds"
BY_QUEUE = "{{hub}} {{queue}}"


def _per_queue(title: str, text: str, unit: str, metric: str) -> Panel:
    return Panel(title, text, unit, (Query(of_hub(metric, "queue", QUEUE), BY_QUEUE),))


TOP = Row(
    "",
    (
        stat(
            "Waiting",
            "Entries that no worker has received yet, in all queues that are chosen.",
            "short",
            or_zero(f"sum({of_hub('redurable_stream_lag_messages', 'queue', QUEUE)})"),
        ),
        stat(
            "Under way",
            "Entries that workers have received and not finished.",
            "short",
            or_zero(f"sum({of_hub('redurable_stream_pending_messages', 'queue', QUEUE)})"),
        ),
        stat(
            "Oldest waiting",
            "For how long the oldest entry waits that nobody has received.",
            "s",
            or_zero(f"max({of_hub('redurable_stream_oldest_waiting_age_seconds', 'queue', QUEUE)})"),
            steps=bad_from(60, 5),
        ),
        stat(
            "Timers due",
            "Timers that are due and have not fired yet.",
            "short",
            or_zero(f"sum({of_hub('redurable_timers_due')})"),
            steps=bad_from(1_000, 100),
        ),
        shared.DEAD_LETTERS,
        stat(
            "Command, p99",
            "How long Redis took to answer, blocking reads left out.",
            "s",
            or_zero(f"{quantile(0.99, COMMAND, over=SHOWN)} >= 0"),
            steps=bad_from(0.25, 0.05),
        ),
        stat(
            "Errors",
            "Commands that failed in the time shown.",
            "short",
            or_zero(increase("redurable_redis_errors_total")),
            steps=bad_from(100, 0.5),
            decimals=0,
        ),
        stat(
            "Reconnects",
            "Connections that were made anew in the time shown.",
            "short",
            increase("redurable_redis_reconnects_total"),
            steps=bad_from(100, 0.5),
            decimals=0,
        ),
    ),
)

STREAMS = Row(
    "Streams",
    (
        _per_queue("Waiting", "Entries that no worker has received yet.", "short", "redurable_stream_lag_messages"),
        _per_queue(
            "Under way",
            "Entries that workers have received and not finished: running activities, turns.",
            "short",
            "redurable_stream_pending_messages",
        ),
        _per_queue("Length", "Entries in the stream.", "short", "redurable_stream_length_messages"),
        _per_queue(
            "Oldest waiting",
            "For how long the oldest entry waits that nobody has received; 0 without one.",
            "s",
            "redurable_stream_oldest_waiting_age_seconds",
        ),
        _per_queue(
            "Oldest under way",
            "How long ago the oldest unfinished entry was queued. Long activities are old, too.",
            "s",
            "redurable_stream_oldest_pending_age_seconds",
        ),
        _per_queue("Consumers", "Workers seen at the queue within a minute.", "short", "redurable_stream_consumers"),
    ),
)

MESSAGES = Row(
    "Messages",
    (
        Panel(
            "Read and finished",
            "Entries per second that workers received, and finished. The lines are close when all is well.",
            "ops",
            (
                Query(rate("redurable_messages_read_total", "queue", QUEUE), "{{queue}} read"),
                Query(rate("redurable_messages_acked_total", "queue", QUEUE), "{{queue}} finished"),
            ),
        ),
        Panel(
            "Received again",
            "Entries taken over from silent workers, and messages that had been heard before: both are harmless.",
            "ops",
            (
                Query(rate("redurable_messages_reclaimed_total", "queue", QUEUE), "{{queue}} taken over"),
                Query(rate("redurable_messages_deduplicated_total", "queue", QUEUE), "{{queue}} heard before"),
            ),
        ),
        Panel(
            "Handed on",
            "Messages that went from outbox, intake and answers to their mailboxes.",
            "ops",
            (Query(rate("redurable_messages_relayed_total", "via"), "{{via}}"),),
        ),
        Panel(
            "Dead letters, by reason",
            "Messages that became dead letters in the time shown. They lie in the stream `rd:{hub}:dead`.",
            "short",
            (Query(increase("redurable_messages_deadlettered_total", "reason"), "{{reason}}"),),
            kind="bargauge",
            steps=bad_from(0.5),
            decimals=0,
        ),
        Panel(
            "Events nobody expects",
            "External events for instances that do not exist, by what became of them, and events that pile up unread.",
            "ops",
            (
                Query(rate("redurable_unclaimed_events_total", "outcome"), "{{outcome}}"),
                Query(rate("redurable_event_backlogs_total"), "pile up"),
            ),
        ),
        Panel(
            "Found by the sweep",
            "Instances with mail that nobody had been told of. A few after a crash; many mean lost ready entries.",
            "ops",
            (Query(rate("redurable_instances_swept_total"), "instances"),),
        ),
    ),
)

TIMERS = Row(
    "Timers",
    (
        shared.TIMERS,
        Panel("Fired", "Timers per second that fired.", "ops", (Query(rate("redurable_timers_fired_total"), "fired"),)),
        Panel(
            "Lateness",
            "How many timers fired how late. What lies above a second waited for a worker.",
            "short",
            (Query(buckets(LATE), "{{le}}"),),
            kind="heatmap",
        ),
    ),
)

REDIS = Row(
    "Redis",
    (
        Panel(
            "Duration of commands, p95",
            "How long Redis took to answer, by script or command.",
            "s",
            (Query(quantile(0.95, COMMAND, "op"), "{{op}}"),),
        ),
        Panel(
            "Commands",
            "Scripts and commands per second.",
            "ops",
            (Query(rate(f"{COMMAND}_count", "op"), "{{op}}"),),
            stacked=True,
        ),
        Panel(
            "Time in Redis, by command",
            "Seconds of waiting for Redis per second, all workers together: what to make cheaper first.",
            "s",
            (Query(rate(f"{COMMAND}_sum", "op"), "{{op}}"),),
            stacked=True,
        ),
        Panel(
            "Errors, by command",
            "Commands per second that failed, by kind of error.",
            "ops",
            (
                Query(
                    f"sum by (op, error) (rate(redurable_redis_errors_total{{{HUB}}}[{RECENTLY}])) "
                    f"or 0 * sum(rate(redurable_redis_reconnects_total{{{HUB}}}[{RECENTLY}]))",
                    "{{op}} {{error}}",
                ),
            ),
        ),
        Panel(
            "Repeated calls, by verb",
            "Calls to the store that failed and were repeated, and connections made anew.",
            "ops",
            (
                Query(only_some("redurable_store_errors_total", "verb"), "{{verb}}"),
                Query(rate("redurable_redis_reconnects_total"), "reconnects"),
            ),
        ),
        Panel(
            "Connections",
            "Connections of all workers, by what they do.",
            "short",
            (Query(total("redurable_redis_pool_connections", "state"), "{{state}}"),),
            stacked=True,
        ),
    ),
)

STREAMS_AND_REDIS = Dashboard(
    "redurable-redis",
    "redurable / Redis and streams",
    "What lies in Redis, and how Redis answers.",
    (variables.HUB, variables.QUEUE),
    (TOP, STREAMS, MESSAGES, TIMERS, REDIS),
)
