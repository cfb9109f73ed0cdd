"""Metrics of the worker itself, and of its connections to the store."""

from __future__ import annotations

import platform
import time
from importlib.metadata import version
from inspect import iscoroutinefunction
from typing import Final

from redurable import facts
from redurable.telemetry.metrics.board import Board, Handlers, Label, Metric, counter, gauge, histogram
from redurable.worker.patience import PatientStore

LAG_BUCKETS = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5)
COMMAND_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1)
VERBS = tuple(name for name, verb in vars(PatientStore).items() if iscoroutinefunction(verb) and name[0] != "_")
"""What a worker repeats until the store answers."""
KIND = Label("kind", ("activity", "activity_thread", "orchestrator"))
OP = Label("op", open=100)
"""Scripts and commands of the store: what it sends is written in its code, so there are only so many."""
ERROR = Label("error", ("unavailable", "timeout", "refused", "full", "damaged", "other"), other="other")

TABLE: Final[tuple[Metric, ...]] = (
    gauge(
        "build_info",
        "What runs here.",
        *(Label(name, open=1) for name in ("version", "python", "redis_client")),
    ),
    gauge("worker_start_time_seconds", "When the worker began, in seconds of the Unix epoch."),
    gauge("worker_last_poll_timestamp_seconds", "When it last asked for work, or had reason to wait with that."),
    gauge("worker_draining", "1 while it finishes what it runs, and takes on nothing new."),
    gauge("worker_slots", "What can run at once: async activities, sync activities, batches of turns.", KIND),
    gauge("worker_slots_used", "What runs.", KIND),
    histogram("event_loop_lag_seconds", "By how much the event loop wakes a sleeper too late.", LAG_BUCKETS),
    gauge("leases_held", "Instances in turns here or waiting for one, and tasks.", Label("kind", ("instance", "task"))),
    gauge("cache_entries", "Replays in memory."),
    gauge("cache_max_entries", "The most replays that are kept in memory."),
    gauge("cache_bytes", "About how many bytes the replays in memory keep alive."),
    gauge("cache_max_bytes", "The most bytes of replays that are kept in memory."),
    gauge("store_last_answer_timestamp_seconds", "When the store last answered a heartbeat; 0: not yet."),
    counter("store_errors", "Store calls that failed and were repeated.", Label("verb", VERBS)),
    histogram(
        "redis_command_duration_seconds",
        "How long commands took that do not block, the connection included where a new one was needed.",
        COMMAND_BUCKETS,
        OP,
    ),
    counter("redis_errors", "Commands that failed.", OP, ERROR),
    counter("redis_reconnects", "Connections made anew after one was lost."),
    gauge("redis_pool_connections", "Connections to the server.", Label("state", ("idle", "in_use"))),
)


class Worker:
    """Shows the worker's samples."""

    def __init__(self, board: Board) -> None:
        made = board.made(TABLE)
        build, start, self._polled, self._draining = next(made), next(made), next(made), next(made)
        self._slots, self._used, self._lag, self._held = next(made), next(made), next(made), next(made)
        self._cached = next(made), next(made), next(made), next(made)
        self._answered, self._faults = next(made), next(made)
        self._commands, self._errors, self._reconnects, self._connections = made
        build.set(1, version("redurable"), platform.python_version(), version("redis"))
        start.set(time.time())

    def handlers(self) -> Handlers:
        """Fact -> what shows it."""
        return {
            facts.WorkerSampled: self._on_worker,
            facts.StoreSampled: self._on_store,
            facts.StoreFaulted: lambda fact: self._faults.add(1, fact.verb),
        }

    def _on_worker(self, fact: facts.WorkerSampled) -> None:
        self._polled.set(time.time() - fact.silent)
        self._answered.set(time.time() - fact.store_silent)
        self._draining.set(fact.draining)
        for kind, most, used in fact.slots:
            self._slots.set(most, kind)
            self._used.set(used, kind)
        self._held.set(fact.instances_held, "instance")
        self._held.set(fact.tasks_held, "task")
        cached = fact.cached, fact.most_cached, fact.cached_bytes, fact.most_cached_bytes
        for family, value in zip(self._cached, cached, strict=True):
            family.set(value)
        for seconds in fact.lags:
            self._lag.observe(seconds)

    def _on_store(self, fact: facts.StoreSampled) -> None:
        for op, seconds in fact.calls:
            self._commands.observe(seconds, op)
        for op, error in fact.errors:
            self._errors.add(1, op, error)
        self._reconnects.add(fact.reconnects)
        self._connections.set(fact.idle, "idle")
        self._connections.set(fact.in_use, "in_use")
