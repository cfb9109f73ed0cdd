"""All metrics of one worker: the groups, and which fact goes to which of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Any, Final

from prometheus_client import CollectorRegistry

from redurable import facts
from redurable.telemetry.metrics import activities, hub, instances, messages, worker
from redurable.telemetry.metrics.board import UNKNOWN, Board, Metric, Names

__all__ = ["UNKNOWN", "Metrics", "Names"]

_GROUPS = (instances.Instances, activities.Activities, messages.Messages, worker.Worker, hub.Hub)

TABLES: Final[tuple[tuple[str, tuple[Metric, ...]], ...]] = (
    ("Instances and turns", instances.TABLE),
    ("Activities, and waiting for a worker", activities.TABLE),
    ("Messages, timers and leases", messages.TABLE),
    ("The worker and its store", worker.TABLE),
    ("The whole hub", tuple(metric for metric, _ in hub.TABLE)),
)
"""All declarations, for docs/metrics.md."""


class Metrics:
    """Counts the facts of one worker: `worker.facts.subscribe(metrics, hub=True)`. `registry` holds all metrics, each
    with the label `hub`. Every metric is set by a fact; none is registered for later."""

    def __init__(self, hub: str, names: Names) -> None:
        self.registry = CollectorRegistry()
        board = Board(hub, names, self.registry)
        self._handlers: dict[type[Any], list[Callable[[Any], None]]] = defaultdict(list)
        for group in _GROUPS:
            for kind, handler in group(board).handlers().items():
                self._handlers[kind].append(handler)

    def __call__(self, fact: facts.Fact) -> None:
        """Count one fact; facts without a metric are passed over."""
        for handle in self._handlers.get(type(fact), ()):
            handle(fact)
