"""Is everything well, and if not, where to look."""

from __future__ import annotations

from grafana import shared, variables
from grafana.model import Dashboard, Panel, Query, Row, bad_below, bad_from, stat
from grafana.queries import HUB, QUEUE, SHOWN, TYPE, increase, mean, of_hub, only_some, or_zero, quantile, rate

FINISHED = "redurable_instances_finished_total"
FAILED = f'{TYPE}, status="Failed"'

TOP = Row(
    "",
    (
        stat(
            "Workers",
            "Workers that are scraped. None: nothing runs here; see the alert RedurableNoPollers.",
            "short",
            or_zero(f"count(redurable_build_info{{{HUB}}})"),
            steps=bad_below(1),
        ),
        stat(
            "Open instances",
            "Instances that have not finished: they run, wait, are suspended or quarantined.",
            "short",
            or_zero(f"sum({of_hub('redurable_instances_open', 'type, status', TYPE)})"),
        ),
        stat("Turns", "Decisions of orchestrators per second.", "ops", rate("redurable_turns_total", where=TYPE)),
        stat(
            "Failed executions",
            "Share of the executions that ended in the time shown and failed.",
            "percentunit",
            or_zero(f"{increase(FINISHED, where=FAILED)} / ({increase(FINISHED, where=TYPE)} > 0)"),
            steps=bad_from(0.1, 0.01),
            decimals=1,
        ),
        stat(
            "Quarantines",
            "Instances that were quarantined in the time shown: their code does not fit their history, is unknown, or "
            "kills its workers. Each waits for a repair.",
            "short",
            increase("redurable_quarantines_total", where=TYPE),
            steps=bad_from(0.5),
            decimals=0,
        ),
        shared.DEAD_LETTERS,
        stat(
            "Wait for a worker, p99",
            "How long ready work waited in its queue before a worker began it. High: more workers or more slots.",
            "s",
            or_zero(f"{quantile(0.99, 'redurable_schedule_to_start_seconds', where=QUEUE, over=SHOWN)} >= 0"),
            steps=bad_from(5, 1),
        ),
        stat(
            "Lateness of timers, p99",
            "How long after its due time a durable timer fired.",
            "s",
            or_zero(f"{quantile(0.99, 'redurable_timer_lateness_seconds', over=SHOWN)} >= 0"),
            steps=bad_from(5, 1),
        ),
    ),
)

EXECUTIONS = Row(
    "Executions",
    (
        Panel(
            "Started and ended",
            "Executions per second that took their first turn, and that ended, by how they ended.",
            "ops",
            (
                Query(rate("redurable_instances_started_total", where=TYPE), "started"),
                Query(rate(FINISHED, "status", TYPE), "{{status}}"),
            ),
        ),
        Panel(
            "Open instances by orchestrator",
            "Instances that have not finished. What only grows is never ended by anybody.",
            "short",
            (Query(f"sum by (type) ({of_hub('redurable_instances_open', 'type, status', TYPE)})", "{{type}}"),),
            stacked=True,
        ),
        Panel(
            "Duration of executions, p95",
            "From the first turn of an execution to its end, waiting included.",
            "s",
            (Query(quantile(0.95, "redurable_instance_duration_seconds", "type", TYPE), "{{type}}"),),
        ),
        Panel(
            "Orchestrators",
            "Each orchestrator in the time shown. A quarantine or a failure has its details in the drill-down.",
            "short",
            (
                Query(increase("redurable_instances_started_total", "type", TYPE), "Started"),
                Query(increase(FINISHED, "type", f'{TYPE}, status="Completed"'), "Completed"),
                Query(increase(FINISHED, "type", FAILED), "Failed"),
                Query(increase("redurable_quarantines_total", "type", TYPE), "Quarantined"),
                Query(mean("redurable_instance_duration_seconds", "type", TYPE, SHOWN), "Mean duration", "s"),
                Query(mean("redurable_turn_duration_seconds", "type", TYPE, SHOWN), "Mean turn", "s"),
            ),
            kind="table",
            width=16,
            columns=("type",),
            decimals=0,
        ),
        Panel(
            "Trouble with instances",
            "Turns that no code here could take (parked), that lost to another worker (fenced), that went to a worker "
            "that knows the code (handed), or whose commit failed.",
            "ops",
            (Query(rate("redurable_turns_total", "result", f'{TYPE}, result!="ok"'), "{{result}}"),),
        ),
    ),
)

WORK = Row(
    "Work",
    (
        shared.WAITS,
        shared.BACKLOG,
        Panel(
            "Attempts of activities by outcome",
            "Attempts per second that ended. `error` and `timeout` are mostly tried again, `lost` lost their lease.",
            "ops",
            (Query(rate("redurable_activity_attempts_total", "outcome"), "{{outcome}}"),),
            stacked=True,
        ),
        shared.failures(HUB),
        Panel(
            "Store errors by verb",
            "Calls to the store that failed and are repeated. None when all is well.",
            "ops",
            (Query(only_some("redurable_store_errors_total", "verb"), "{{verb}}"),),
        ),
        shared.TIMERS,
    ),
)

OVERVIEW = Dashboard(
    "redurable-overview",
    "redurable / Overview",
    "Is everything well, and if not, where to look.",
    (variables.HUB, variables.TYPE, variables.QUEUE),
    (TOP, EXECUTIONS, WORK),
)
