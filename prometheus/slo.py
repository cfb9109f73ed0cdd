"""Optional: a service level objective, and alerts on how fast its error budget burns.

The objective: of all work that is ready, 99 % is begun within a second, over 30 days. Two windows each, as the SRE
workbook has it: the long one says that it matters, the short one that it still goes on. Hubs with little traffic are
left out, because one slow start would burn the budget of a week.
"""

from __future__ import annotations

from prometheus.model import Alert, Group, Recording

BUDGET = 0.01
LEAST = 0.1
"""Starts of work per second below which nothing is said."""
WINDOWS = ("5m", "30m", "1h", "6h")


def late(window: str) -> str:
    """The recorded share of work that was begun late."""
    return f"hub:redurable_started_late:ratio_rate{window}"


def _share(window: str) -> str:
    return (
        f'1 - sum by (hub) (rate(redurable_schedule_to_start_seconds_bucket{{le="1.0"}}[{window}]))\n'
        f"  / (sum by (hub) (rate(redurable_schedule_to_start_seconds_count[{window}])) > 0)"
    )


def _burns(factor: float, long: str, short: str) -> str:
    worst = f"{factor * BUDGET:g}"
    traffic = f"sum by (hub) (rate(redurable_schedule_to_start_seconds_count[{long}])) > {LEAST}"
    return f"{late(long)} > {worst}\n  and on (hub) {late(short)} > {worst}\n  and on (hub) {traffic}"


SLO = Group(
    "redurable.slo",
    (
        *(Recording(late(window), _share(window)) for window in WINDOWS),
        Alert(
            "RedurableSloFastBurn",
            _burns(14.4, "1h", "5m"),
            "2m",
            "critical",
            "Work in hub {{ $labels.hub }} is begun late: the error budget is gone in two days",
            "{{ $value | humanizePercentage }} of the last hour's work waited longer than a second; 1 % may.",
            "redurable-workers",
        ),
        Alert(
            "RedurableSloSlowBurn",
            _burns(6, "6h", "30m"),
            "15m",
            "warning",
            "Work in hub {{ $labels.hub }} is begun late: the error budget is gone in five days",
            "{{ $value | humanizePercentage }} of the last six hours' work waited longer than a second; 1 % may.",
            "redurable-workers",
        ),
    ),
)
