"""Prometheus metrics of a worker: a subscriber of its facts, with a registry of its own.

Label values are bounded sets: registered names of code, served queues, words fixed by the runtime. Whatever else a fact
says is counted as `_unknown`, so that what outsiders write cannot grow the number of series. Instance ids and event
names are never labels. Every metric here is set by a fact; none is registered for later.
"""

from __future__ import annotations

import logging
import platform
from collections.abc import Callable, Iterable
from importlib.metadata import version
from typing import Any, get_args

from msgspec import Struct
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    start_http_server,
)

from redurable import facts
from redurable.core import turn
from redurable.core.values import RuntimeStatus
from redurable.settings import MetricsSettings
from redurable.store.port import Store
from redurable.store.routing import Grievance

log = logging.getLogger("redurable.metrics")

UNKNOWN = "_unknown"

TURN_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10)
ACTIVITY_BUCKETS = (0.005, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60, 300, 1800)
INSTANCE_BUCKETS = (0.1, 0.5, 1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 36_000, 86_400, 604_800)
WAIT_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 10, 60, 300, 1800)
LATENESS_BUCKETS = (0.01, 0.05, 0.1, 0.5, 1, 5, 30, 60, 300)

STATUSES = tuple(s.value for s in RuntimeStatus if s.finished or s is RuntimeStatus.CONTINUED_AS_NEW)
TURN_RESULTS = ("ok", "fenced", "parked", "failed", "handed")
PARKED = (turn.NONDETERMINISM, turn.UNKNOWN, turn.POISON, turn.UNREADABLE, turn.ENGINE_ERROR)
OUTCOMES = ("ok", "error", "timeout", "crashed", "non_retryable", "canceled", "lost", "later", "unknown")
SOURCES = ("outbox", "intake", "answers")
LEASES = ("instance", "task")
REASONS: tuple[str, ...] = (*get_args(Grievance), "intake", "answers")
UNCLAIMED = ("kept", "dropped", "buried")
VERBS = tuple(name for name in vars(Store) if not name.startswith("_"))


class Names(Struct, frozen=True):
    """What a worker serves: the only names of code and queues that may become label values."""

    orchestrators: frozenset[str] = frozenset()
    activities: frozenset[str] = frozenset()
    queues: frozenset[str] = frozenset()


class Metrics:
    """Counts the facts of one worker. `registry` holds all metrics, each with the label `hub`."""

    def __init__(self, hub: str, names: Names) -> None:
        # For the whole process, because the library has no other switch: `_created` doubles the series of counters.
        disable_created_metrics()
        self.registry = CollectorRegistry()
        self._hub = hub
        self._names = names
        self._declare_instances()
        self._declare_activities()
        self._declare_messages()
        self._declare_build()
        self._count: dict[type[Any], Callable[[Any], None]] = {
            facts.InstancesStarted: self._instances_started,
            facts.InstancesFinished: self._instances_finished,
            facts.TurnsTaken: self._turns_taken,
            facts.TurnParked: self._turn_parked,
            facts.QuarantineEnded: self._quarantine_ended,
            facts.ActivityAttempted: self._activity_attempted,
            facts.TaskStarted: self._task_started,
            facts.TimersFired: self._timers_fired,
            facts.MessagesRelayed: self._messages_relayed,
            facts.DeadLettered: self._dead_lettered,
            facts.EventsUnclaimed: self._events_unclaimed,
            facts.EventsPiledUp: self._events_piled_up,
            facts.LeasesReclaimed: self._leases_reclaimed,
            facts.StoreFaulted: self._store_faulted,
        }

    def __call__(self, fact: facts.Fact) -> None:
        """Count one fact; facts without a metric are passed over."""
        count = self._count.get(type(fact))
        if count is not None:
            count(fact)

    def _declare_instances(self) -> None:
        types = self._names.orchestrators
        self._started = self._counter("instances_started", "Executions that took their first turn.", type=types)
        self._finished = self._counter("instances_finished", "Executions that ended.", type=types, status=STATUSES)
        self._lived = self._histogram(
            "instance_duration_seconds", "From the start of an execution to its end.", INSTANCE_BUCKETS, "type"
        )
        self._turns = self._counter("turns", "Turns taken.", type=types, result=TURN_RESULTS)
        self._turned = self._histogram("turn_duration_seconds", "How long turns took.", TURN_BUCKETS, "type")

        self._parked = self._counter("quarantines", "Instances quarantined.", type=types, reason=PARKED)
        self._healed = self._counter("quarantines_ended", "Quarantined instances that took a turn.", type=types)

    def _declare_activities(self) -> None:
        activities = self._names.activities
        self._attempts = self._counter(
            "activity_attempts", "Attempts that ended.", activity=activities, outcome=OUTCOMES
        )
        self._retries = self._counter("activity_retries", "Attempts that are tried again.", activity=activities)
        self._ran = self._histogram("activity_duration_seconds", "How long attempts ran.", ACTIVITY_BUCKETS, "activity")
        self._waited = self._histogram(
            "schedule_to_start_seconds", "How long work waited in its queue.", WAIT_BUCKETS, "queue", "kind"
        )

    def _declare_messages(self) -> None:
        self._fired = self._counter("timers_fired", "Durable timers that fired.")
        self._late = self._histogram("timer_lateness_seconds", "How late timers fired.", LATENESS_BUCKETS)
        self._relayed = self._counter("messages_relayed", "Messages handed on.", via=SOURCES)
        self._dead = self._counter("messages_deadlettered", "Messages that nobody could take.", reason=REASONS)
        self._unclaimed = self._counter(
            "unclaimed_events", "Events for instances that do not exist.", outcome=UNCLAIMED
        )
        self._piled_up = self._counter("event_backlogs", "Times that too many events of a name waited unread.")
        self._reclaimed = self._counter("leases_reclaimed", "Leases taken over from silent workers.", kind=LEASES)
        self._faults = self._counter("store_errors", "Store calls that failed and were repeated.", verb=VERBS)

    def _declare_build(self) -> None:
        labels = {
            "version": version("redurable"),
            "python": platform.python_version(),
            "redis_client": version("redis"),
        }
        gauge = Gauge("redurable_build_info", "What runs here.", ("hub", *labels), registry=self.registry)
        gauge.labels(hub=self._hub, **labels).set(1)

    def _counter(self, name: str, text: str, **labels: Iterable[str]) -> Counter:
        """A counter whose known series exist from the start, so that `rate` sees their first increment."""
        counter = Counter(f"redurable_{name}", text, ("hub", *labels), registry=self.registry)
        series: list[tuple[str, ...]] = [(self._hub,)]
        for values in labels.values():
            series = [(*head, value) for head in series for value in values]
        for values in series:
            counter.labels(*values)
        return counter

    def _histogram(self, name: str, text: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
        return Histogram(f"redurable_{name}", text, ("hub", *labels), registry=self.registry, buckets=buckets)

    def _orchestrator(self, name: str) -> str:
        return name if name in self._names.orchestrators else UNKNOWN

    def _activity(self, name: str) -> str:
        return name if name in self._names.activities else UNKNOWN

    def _instances_started(self, fact: facts.InstancesStarted) -> None:
        for name in fact.names:
            self._started.labels(self._hub, self._orchestrator(name)).inc()

    def _instances_finished(self, fact: facts.InstancesFinished) -> None:
        for name, status, seconds in fact.ends:
            known = self._orchestrator(name)
            self._finished.labels(self._hub, known, _one_of(status, STATUSES)).inc()
            self._lived.labels(self._hub, known).observe(seconds)

    def _turns_taken(self, fact: facts.TurnsTaken) -> None:
        for name, result, seconds in fact.turns:
            known = self._orchestrator(name)
            self._turns.labels(self._hub, known, _one_of(result, TURN_RESULTS)).inc()
            self._turned.labels(self._hub, known).observe(seconds)

    def _turn_parked(self, fact: facts.TurnParked) -> None:
        if fact.first:
            self._parked.labels(self._hub, self._orchestrator(fact.name), _one_of(fact.reason, PARKED)).inc()

    def _quarantine_ended(self, fact: facts.QuarantineEnded) -> None:
        for name in fact.names:
            self._healed.labels(self._hub, self._orchestrator(name)).inc()

    def _activity_attempted(self, fact: facts.ActivityAttempted) -> None:
        known = self._activity(fact.name)
        self._attempts.labels(self._hub, known, _one_of(fact.outcome, OUTCOMES)).inc()
        if fact.seconds:  # What did not run here has no duration.
            self._ran.labels(self._hub, known).observe(fact.seconds)
        if fact.retried:
            self._retries.labels(self._hub, known).inc()

    def _task_started(self, fact: facts.TaskStarted) -> None:
        queue = fact.queue if fact.queue in self._names.queues else UNKNOWN
        self._waited.labels(self._hub, queue, "activity").observe(fact.waited)

    def _timers_fired(self, fact: facts.TimersFired) -> None:
        self._fired.labels(self._hub).inc(len(fact.lateness))
        for seconds in fact.lateness:
            self._late.labels(self._hub).observe(seconds)

    def _messages_relayed(self, fact: facts.MessagesRelayed) -> None:
        self._relayed.labels(self._hub, _one_of(fact.via, SOURCES)).inc(fact.count)

    def _dead_lettered(self, fact: facts.DeadLettered) -> None:
        self._dead.labels(self._hub, _one_of(fact.reason, REASONS)).inc(fact.count)

    def _events_unclaimed(self, fact: facts.EventsUnclaimed) -> None:
        self._unclaimed.labels(self._hub, _one_of(fact.outcome, UNCLAIMED)).inc(fact.count)

    def _events_piled_up(self, fact: facts.EventsPiledUp) -> None:
        self._piled_up.labels(self._hub).inc()

    def _leases_reclaimed(self, fact: facts.LeasesReclaimed) -> None:
        self._reclaimed.labels(self._hub, _one_of(fact.kind, LEASES)).inc(fact.count)

    def _store_faulted(self, fact: facts.StoreFaulted) -> None:
        self._faults.labels(self._hub, _one_of(fact.verb, VERBS)).inc()


class Exporter:
    """Serves a registry over HTTP from a thread of its own, at any path. Use it as a context manager.

    A port that is taken is logged and nothing is served: metrics are never a reason for work to stand still.
    """

    def __init__(self, registry: CollectorRegistry, port: int, host: str | None = None) -> None:
        self._server = None
        host = MetricsSettings().metrics_host if host is None else host
        try:
            self._server, self._thread = start_http_server(port, host, registry)
        except OSError as error:
            log.warning("no metrics: cannot listen on %s:%d (%s); choose another --metrics-port", host, port, error)

    @property
    def port(self) -> int:
        """The port that is served; 0 when none is."""
        return 0 if self._server is None else self._server.server_port

    def __enter__(self) -> Exporter:
        return self

    def __exit__(self, *_: object) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._thread.join()


def _one_of(value: str, known: tuple[str, ...]) -> str:
    return value if value in known else UNKNOWN
