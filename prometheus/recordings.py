"""Recording rules: what the alerts ask for, and what is dear to compute again for each look at it."""

from __future__ import annotations

from prometheus.model import Group, Recording

WAIT_P99 = "hub_queue:redurable_schedule_to_start_seconds:p99_5m"
LATENESS_P99 = "hub:redurable_timer_lateness_seconds:p99_5m"
LOOP_P99 = "instance:redurable_event_loop_lag_seconds:p99_5m"
LAG = "hub_queue:redurable_stream_lag_messages:max"
UNFINISHED = "hub:redurable_unfinished_messages:sum"
FAILED_RATIO = "hub_type:redurable_instances_failed:ratio_increase30m"
MISSES_RATIO = "hub:redurable_cache_misses:ratio_rate15m"
FENCED_RATIO = "hub:redurable_turns_fenced:ratio_rate10m"


def p99(by: str, metric: str) -> str:
    """What 99 % of the last five minutes' observations do not exceed."""
    return f"histogram_quantile(0.99, sum by ({by}, le) (rate({metric}_bucket[5m])))"


RECORDINGS = Group(
    "redurable.recordings",
    (
        Recording(WAIT_P99, p99("hub, queue", "redurable_schedule_to_start_seconds")),
        Recording(LATENESS_P99, p99("hub", "redurable_timer_lateness_seconds")),
        Recording(LOOP_P99, p99("hub, job, instance", "redurable_event_loop_lag_seconds")),
        Recording(LAG, "max by (hub, queue) (redurable_stream_lag_messages)"),
        Recording(
            UNFINISHED,
            f"sum by (hub) ({LAG})\n"
            "  + on (hub) sum by (hub) (max by (hub, queue) (redurable_stream_pending_messages))\n"
            "  + on (hub) max by (hub) (redurable_timers_due)",
        ),
        Recording(
            FAILED_RATIO,
            'sum by (hub, type) (increase(redurable_instances_finished_total{status="Failed"}[30m]))\n'
            "  / (sum by (hub, type) (increase(redurable_instances_finished_total[30m])) > 0)",
        ),
        Recording(
            MISSES_RATIO,
            "sum by (hub) (rate(redurable_cache_misses_total[15m]))\n"
            "  / (sum by (hub) (rate(redurable_cache_misses_total[15m]))"
            " + sum by (hub) (rate(redurable_cache_hits_total[15m])) > 0)",
        ),
        Recording(
            FENCED_RATIO,
            'sum by (hub) (rate(redurable_turns_total{result="fenced"}[10m]))\n'
            "  / (sum by (hub) (rate(redurable_turns_total[10m])) > 0)",
        ),
    ),
)
