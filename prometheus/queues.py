"""Alerts about what lies in the hub: backlogs, dead letters, timers."""

from __future__ import annotations

from prometheus.model import Alert, Group
from prometheus.recordings import LAG, LATENESS_P99, WAIT_P99

MORE_DEAD = "max by (hub) (redurable_deadletter_messages) - max by (hub) (redurable_deadletter_messages offset 15m)"
"""What is buried where it is read, and has no kind, is seen by what lies there."""

QUEUES = Group(
    "redurable.queues",
    (
        Alert(
            "RedurableScheduleToStartHigh",
            f"{WAIT_P99} > 5",
            "10m",
            "critical",
            "Work in {{ $labels.queue }} of hub {{ $labels.hub }} waits for workers",
            "One entry in a hundred waits longer than {{ $value | humanizeDuration }} before a worker begins it.",
            "redurable-workers",
        ),
        Alert(
            "RedurableBacklogGrowing",
            f"deriv({LAG}[15m]) > 0\n  and on (hub, queue) min_over_time({LAG}[15m]) > 10",
            "15m",
            "warning",
            "The backlog of {{ $labels.queue }} in hub {{ $labels.hub }} grows",
            "Entries come in faster than workers take them, and have for half an hour: by {{ $value | humanize }} a "
            "second.",
            "redurable-workers",
        ),
        Alert(
            "RedurableBacklogStuck",
            "max by (hub, queue) (redurable_stream_oldest_waiting_age_seconds) > 300",
            "5m",
            "critical",
            "Entries of {{ $labels.queue }} in hub {{ $labels.hub }} are not taken",
            "The oldest entry that no worker has received waits for {{ $value | humanizeDuration }}.",
            "redurable-redis",
        ),
        Alert(
            "RedurableOldestPendingStuck",
            'max by (hub, queue) (redurable_stream_oldest_pending_age_seconds{queue=~"_.+"}) > 300',
            "10m",
            "warning",
            "An entry of {{ $labels.queue }} in hub {{ $labels.hub }} is not finished",
            "It was received and is not finished, {{ $value | humanizeDuration }} after it was queued; such entries "
            "take milliseconds.",
            "redurable-redis",
        ),
        Alert(
            "RedurableDeadLetters",
            "sum by (hub, reason) (increase(redurable_messages_deadlettered_total[15m])) > 0\n"
            f'  or on (hub) label_replace({MORE_DEAD} > 0, "reason", "unread", "", "")',
            "1m",
            "warning",
            "Dead letters in hub {{ $labels.hub }}: {{ $labels.reason }}",
            "{{ $value | humanize }} messages became dead letters within 15 minutes. Whoever sent them was not told.",
            "redurable-redis",
        ),
        Alert(
            "RedurableTimersLate",
            f"{LATENESS_P99} > 5\n"
            "  or on (hub) (min by (hub) (min_over_time(redurable_timers_due[10m])) > 0\n"
            "    and on (hub) sum by (hub) (rate(redurable_timers_fired_total[10m])) == 0)",
            "10m",
            "warning",
            "Timers of hub {{ $labels.hub }} fire late",
            "One timer in a hundred fires more than 5 s late, or timers are due and none fires: the value is "
            "{{ $value | humanize }}.",
            "redurable-redis",
        ),
    ),
)
