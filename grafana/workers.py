"""Are there enough workers, and is each of them well."""

from __future__ import annotations

from grafana import shared, variables
from grafana.model import Dashboard, Panel, Query, Row, bad_below, bad_from, stat
from grafana.queries import HUB, QUEUE, RECENTLY, SHOWN, WORKER, of_hub, or_zero, quantile, rate, total

LAG = "redurable_event_loop_lag_seconds"
SILENCE = f"time() - (redurable_worker_last_poll_timestamp_seconds{{{WORKER}}} > 0)"
HITS, MISSES = "redurable_cache_hits_total", "redurable_cache_misses_total"


def _used(kinds: str) -> str:
    """The share of slots that are taken."""
    where = f'{WORKER}, kind=~"{kinds}"'
    return f"{total('redurable_worker_slots_used', where=where)} / {total('redurable_worker_slots', where=where)}"


def _alive(role: str) -> str:
    where = f'{HUB}, role="{role}"'
    return or_zero(f"sum({of_hub('redurable_workers', 'role', where)})")


def _of_process(expr: str) -> str:
    """A metric of the process, which has no label `hub`, for the workers that are chosen."""
    return f"sum by (instance) ({expr} * on (job, instance) group_left (hub) redurable_build_info{{{WORKER}}})"


TOP = Row(
    "",
    (
        stat(
            "Take turns",
            "Workers with the role `orchestrations` that live by their heartbeat. None: no orchestrator goes on.",
            "short",
            _alive("orchestrations"),
            steps=bad_below(1),
        ),
        stat(
            "Run activities",
            "Workers with the role `activities` that live by their heartbeat.",
            "short",
            _alive("activities"),
            steps=bad_below(1),
        ),
        stat(
            "Slots taken: activities",
            "Share of the slots for activities that are taken. Near 1 for long: add workers, or slots (`concurrency`).",
            "percentunit",
            or_zero(_used("activity|activity_thread")),
            steps=bad_from(0.95, 0.8),
        ),
        stat(
            "Slots taken: turns",
            "Share of the batches of turns that may be under way (`lanes`).",
            "percentunit",
            or_zero(_used("orchestrator")),
            steps=bad_from(0.95, 0.8),
        ),
        stat(
            "Draining",
            "Workers that finish what they run and take nothing new.",
            "short",
            or_zero(total("redurable_worker_draining", where=WORKER)),
        ),
        stat(
            "Longest silence",
            "Seconds since the worker that polled least recently has asked the store for work.",
            "s",
            or_zero(f"max({SILENCE})"),
            steps=bad_from(60, 15),
            decimals=1,
        ),
        stat(
            "Loop delay, p99",
            "How much later than asked for the event loop wakes. High: something blocks it; plain functions may.",
            "s",
            or_zero(f"{quantile(0.99, LAG, where=WORKER, over=SHOWN)} >= 0"),
            steps=bad_from(0.5, 0.1),
        ),
        stat(
            "Hits of the cache",
            "Share of the turns that found their replay in memory. Low: instances meet other workers, or the cache is "
            "too small.",
            "percentunit",
            or_zero(
                f"sum(increase({HITS}{{{WORKER}}}[{SHOWN}])) / (sum(increase({HITS}{{{WORKER}}}[{SHOWN}])) + "
                f"sum(increase({MISSES}{{{WORKER}}}[{SHOWN}])) > 0)"
            ),
        ),
    ),
)

SCALING = Row(
    "Scaling",
    (
        shared.BACKLOG,
        shared.WAITS,
        Panel(
            "Workers by role",
            "Workers that live by their heartbeat.",
            "short",
            (Query(of_hub("redurable_workers", "role"), "{{hub}} {{role}}"),),
            decimals=0,
        ),
        Panel(
            "Slots taken, by kind",
            "Share of all slots: async activities, activities in threads, batches of turns.",
            "percentunit",
            (
                Query(
                    f"{total('redurable_worker_slots_used', 'kind', WORKER)} / "
                    f"({total('redurable_worker_slots', 'kind', WORKER)} > 0)",
                    "{{kind}}",
                ),
            ),
            steps=bad_from(0.95),
            top=1,
        ),
        Panel(
            "Slots taken, by worker",
            "Activities that run, by worker.",
            "short",
            (Query(total("redurable_worker_slots_used", "instance", f'{WORKER}, kind=~"activity.*"'), "{{instance}}"),),
            stacked=True,
        ),
        Panel(
            "Consumers by queue",
            "Workers seen at a queue within a minute. A queue with entries and without consumers stands still.",
            "short",
            (Query(of_hub("redurable_stream_consumers", "queue", QUEUE), "{{hub}} {{queue}}"),),
            decimals=0,
        ),
    ),
)

EACH = Row(
    "Workers",
    (
        Panel(
            "Versions",
            "What runs where, and for how long.",
            "s",
            (
                Query(
                    "sum by (hub, instance, version, python, redis_client) "
                    f"((time() - redurable_worker_start_time_seconds{{{WORKER}}}) * on (job, instance, hub) "
                    f"group_right redurable_build_info{{{WORKER}}})",
                    "Uptime",
                ),
            ),
            kind="table",
            width=16,
            columns=("hub", "instance", "version", "python", "redis_client"),
        ),
        Panel(
            "Silence",
            "Seconds since each worker has asked the store for work. A blocking read takes a few.",
            "s",
            (Query(SILENCE, "{{instance}}"),),
            steps=bad_from(60),
        ),
        Panel(
            "Processor",
            "Cores that each process uses. A worker uses one and a little at most.",
            "short",
            (Query(_of_process(f"rate(process_cpu_seconds_total[{RECENTLY}])"), "{{instance}}"),),
        ),
        Panel(
            "Memory",
            "Resident memory of each process.",
            "bytes",
            (Query(_of_process("process_resident_memory_bytes"), "{{instance}}"),),
        ),
        Panel(
            "Delay of the event loop, p99",
            "How much later than asked for the loop of each worker wakes.",
            "s",
            (Query(quantile(0.99, LAG, "instance", WORKER), "{{instance}}"),),
            steps=bad_from(0.5),
        ),
    ),
)

POLLS = Row(
    "Polls, cache and leases",
    (
        Panel(
            "Polls, by result",
            "Reads of queues per second: with entries (hit), without, or failed.",
            "ops",
            (Query(rate("redurable_polls_total", "result", QUEUE), "{{result}}"),),
        ),
        Panel(
            "Entries of a poll, p95",
            "How many entries a read brought, by queue. Larger batches cost less each.",
            "short",
            (Query(quantile(0.95, "redurable_poll_batch_messages", "queue", QUEUE), "{{queue}}"),),
        ),
        Panel(
            "Cache: hits, misses, evictions",
            "Turns that found their replay in memory, or not; replays that were dropped, by reason.",
            "ops",
            (
                Query(rate(HITS, where=WORKER), "hits"),
                Query(rate(MISSES, where=WORKER), "misses"),
                Query(rate("redurable_cache_evictions_total", "reason", WORKER), "evicted: {{reason}}"),
            ),
        ),
        Panel(
            "Cache: how full",
            "Replays in memory, as shares of the most that is allowed in number and in bytes.",
            "percentunit",
            tuple(
                Query(
                    f"{total(f'redurable_cache_{what}', where=WORKER)} / "
                    f"{total(f'redurable_cache_max_{what}', where=WORKER)}",
                    what,
                )
                for what in ("entries", "bytes")
            ),
            top=1,
        ),
        Panel(
            "Leases held",
            "Instances and tasks that workers hold.",
            "short",
            (Query(total("redurable_leases_held", "kind", WORKER), "{{kind}}"),),
        ),
        Panel(
            "Leases lost",
            "Leases taken over from silent workers, and hand-overs and takeovers that came too late. A crash shows "
            "here; what goes on is flapping.",
            "ops",
            (
                Query(rate("redurable_leases_reclaimed_total", "kind", WORKER), "reclaimed: {{kind}}"),
                Query(
                    rate("redurable_lease_operations_total", "op", f'{WORKER}, result="lost", op!="renew"'),
                    "{{op}} lost",
                ),
            ),
        ),
    ),
)

WORKERS = Dashboard(
    "redurable-workers",
    "redurable / Workers and scaling",
    "Are there enough workers, and is each of them well.",
    (variables.HUB, variables.QUEUE, variables.INSTANCE),
    (TOP, SCALING, EACH, POLLS),
)
