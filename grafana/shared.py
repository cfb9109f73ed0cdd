"""Panels that stand on several dashboards."""

from __future__ import annotations

from grafana.model import Panel, Query, bad_from, stat
from grafana.queries import QUEUE, SHOWN, of_hub, or_zero, quantile

WAITS = Panel(
    "Wait for a worker, p95 by queue",
    "How long ready work waited before a worker began it. `_ready` is the queue of turns.",
    "s",
    (Query(quantile(0.95, "redurable_schedule_to_start_seconds", "queue", QUEUE), "{{queue}}"),),
    steps=bad_from(5),
)

BACKLOG = Panel(
    "Backlog by queue",
    "Entries that no worker has received yet: what an autoscaler goes by. What only grows needs more workers.",
    "short",
    (Query(of_hub("redurable_stream_lag_messages", "queue", QUEUE), "{{hub}} {{queue}}"),),
)

TIMERS = Panel(
    "Timers, pending and due",
    "Durable timers that wait, and those that are due and have not fired yet.",
    "short",
    (
        Query(of_hub("redurable_timers_pending"), "{{hub}} pending"),
        Query(of_hub("redurable_timers_due"), "{{hub}} due"),
    ),
)

DEAD_LETTERS = stat(
    "Dead letters",
    "Messages that lie among the dead letters: nobody could use them.",
    "short",
    or_zero(f"sum({of_hub('redurable_deadletter_messages')})"),
    steps=bad_from(100, 1),
)


def failures(where: str) -> Panel:
    """The classes of errors of these activities."""
    failed = f"sum by (activity, error) (increase(redurable_activity_failures_total{{{where}}}[{SHOWN}]))"
    return Panel(
        "Errors of activities",
        "Failed attempts in the time shown, by activity and class of the error. Yours count as `_other`.",
        "short",
        (Query(f"topk(20, {failed} > 0)", "Attempts"),),
        kind="table",
        columns=("activity", "error"),
        decimals=0,
    )
