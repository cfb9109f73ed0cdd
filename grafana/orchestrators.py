"""One orchestrator, or a few: how their executions, turns and activities go."""

from __future__ import annotations

from grafana import shared, variables
from grafana.model import Dashboard, Panel, Query, Row, bad_from, stat
from grafana.queries import HUB, SHOWN, TYPE, buckets, increase, of_hub, or_zero, quantile, rate

ACTIVITY = f'{HUB}, activity=~"$activity"'
FINISHED = "redurable_instances_finished_total"
LIVED = "redurable_instance_duration_seconds"
TURN = "redurable_turn_duration_seconds"
REPLAY = "redurable_replay_duration_seconds"
RAN = "redurable_activity_duration_seconds"


def _spread(metric: str, where: str) -> tuple[Query, ...]:
    """The middle, and the slow ones."""
    return tuple(Query(quantile(q, metric, where=where), f"p{100 * q:g}") for q in (0.5, 0.95, 0.99))


TOP = Row(
    "",
    (
        stat(
            "Started",
            "Executions that took their first turn, in the time shown.",
            "short",
            increase("redurable_instances_started_total", where=TYPE),
            decimals=0,
        ),
        stat(
            "Completed",
            "Executions that ended with a result, in the time shown.",
            "short",
            increase(FINISHED, where=f'{TYPE}, status="Completed"'),
            decimals=0,
        ),
        stat(
            "Failed",
            "Executions that ended with an error, in the time shown.",
            "short",
            increase(FINISHED, where=f'{TYPE}, status="Failed"'),
            steps=bad_from(100, 0.5),
            decimals=0,
        ),
        stat(
            "Open",
            "Instances that have not finished.",
            "short",
            or_zero(f"sum({of_hub('redurable_instances_open', 'type, status', TYPE)})"),
        ),
        stat(
            "Duration, p95",
            "From the first turn of an execution to its end, in the time shown.",
            "s",
            or_zero(f"{quantile(0.95, LIVED, where=TYPE, over=SHOWN)} >= 0"),
        ),
        stat(
            "Turn, p95",
            "How long the decisions took, without the commit. A turn that takes long holds up its batch.",
            "s",
            or_zero(f"{quantile(0.95, TURN, where=TYPE, over=SHOWN)} >= 0"),
            steps=bad_from(1, 0.1),
        ),
        stat(
            "History, p99",
            "Events in a history after a turn. Long ones need continue-as-new.",
            "short",
            or_zero(f"{quantile(0.99, 'redurable_history_events', where=TYPE, over=SHOWN)} >= 0"),
            steps=bad_from(40_000, 10_000),
            decimals=0,
        ),
        stat(
            "Nondeterminism",
            "Turns in which code and history disagreed, in the time shown. See the runbook: RedurableNondeterminism.",
            "short",
            increase("redurable_nondeterminism_errors_total", where=TYPE),
            steps=bad_from(0.5),
            decimals=0,
        ),
    ),
)

EXECUTIONS = Row(
    "Executions",
    (
        Panel(
            "Started, by what started them",
            "First turns per second: started by a client, by a parent, or by continue-as-new.",
            "ops",
            (Query(rate("redurable_instances_started_total", "trigger", TYPE), "{{trigger}}"),),
            stacked=True,
        ),
        Panel(
            "Ended, by status",
            "Executions per second that ended.",
            "ops",
            (Query(rate(FINISHED, "status", TYPE), "{{status}}"),),
            stacked=True,
        ),
        Panel(
            "Open, by status",
            "Instances that have not finished, by their status.",
            "short",
            (Query(f"sum by (status) ({of_hub('redurable_instances_open', 'type, status', TYPE)})", "{{status}}"),),
            stacked=True,
        ),
        Panel("Duration", "From the first turn of an execution to its end.", "s", _spread(LIVED, TYPE)),
        Panel(
            "Durations",
            "How many executions ended after how long. Bands are waiting: for timers, events and people.",
            "short",
            (Query(buckets(LIVED, TYPE), "{{le}}"),),
            kind="heatmap",
        ),
        Panel(
            "Quarantines, by reason",
            "Instances that were quarantined in the time shown. Their status says what differs, and at which line.",
            "short",
            (Query(increase("redurable_quarantines_total", "reason", TYPE), "{{reason}}"),),
            kind="bargauge",
            steps=bad_from(0.5),
            decimals=0,
        ),
    ),
)

TURNS = Row(
    "Turns and histories",
    (
        Panel(
            "Turns, by result",
            "`ok` was committed; `fenced` lost to another worker; `parked` is quarantined; `handed` went to a "
            "worker that knows the code; `failed` could not be written.",
            "ops",
            (Query(rate("redurable_turns_total", "result", TYPE), "{{result}}"),),
        ),
        Panel("Duration of turns", "How long the decisions took, without the commit.", "s", _spread(TURN, TYPE)),
        Panel(
            "Duration of replays, p95",
            "Turns that replayed a history because it was in no cache. They grow with the history.",
            "s",
            (Query(quantile(0.95, REPLAY, "type", TYPE), "{{type}}"),),
        ),
        Panel(
            "Length of histories, p95",
            "Events after a turn, by orchestrator.",
            "short",
            (Query(quantile(0.95, "redurable_history_events", "type", TYPE), "{{type}}"),),
        ),
        Panel(
            "Histories near their cap",
            "Turns per second after which a history had more than 80 % of its cap, in events or in bytes. At the "
            "cap the execution fails.",
            "ops",
            (
                Query(
                    f"{rate('redurable_history_cap_ratio_count', 'type', TYPE)} - ignoring (le) "
                    f'sum by (type) (rate(redurable_history_cap_ratio_bucket{{{TYPE}, le="0.8"}}[$__rate_interval]))',
                    "{{type}}",
                ),
            ),
        ),
        Panel(
            "Commits that lost",
            "Turns that another worker took meanwhile (fenced), and repetitions of what was committed already.",
            "ops",
            (Query(rate("redurable_commit_conflicts_total", "reason"), "{{reason}}"),),
        ),
    ),
)

ACTIVITIES = Row(
    "Activities",
    (
        Panel(
            "Attempts, by outcome",
            "Attempts per second that ended, of the chosen activities.",
            "ops",
            (Query(rate("redurable_activity_attempts_total", "outcome", ACTIVITY), "{{outcome}}"),),
            stacked=True,
        ),
        Panel(
            "Duration of attempts, p95",
            "How long attempts ran, by activity.",
            "s",
            (Query(quantile(0.95, RAN, "activity", ACTIVITY), "{{activity}}"),),
        ),
        Panel(
            "Retries",
            "Attempts per second that are tried again, by activity.",
            "ops",
            (Query(rate("redurable_activity_retries_total", "activity", ACTIVITY), "{{activity}}"),),
        ),
        shared.failures(ACTIVITY),
        Panel(
            "Size of payloads, p95",
            "Inputs, results and event data, in bytes of JSON. Large ones belong elsewhere, with a reference here.",
            "bytes",
            (Query(quantile(0.95, "redurable_payload_bytes", "kind"), "{{kind}}"),),
        ),
        Panel(
            "Payloads refused, instances purged",
            "Payloads over the limit or without JSON, by reason; instances whose data were deleted.",
            "ops",
            (
                Query(rate("redurable_payload_rejected_total", "reason"), "refused: {{reason}}"),
                Query(rate("redurable_instances_purged_total"), "purged"),
            ),
        ),
    ),
)

ORCHESTRATORS = Dashboard(
    "redurable-orchestrators",
    "redurable / Orchestrator drill-down",
    "One orchestrator, or a few: how their executions, turns and activities go.",
    (variables.HUB, variables.TYPE, variables.ACTIVITY),
    (TOP, EXECUTIONS, TURNS, ACTIVITIES),
)
