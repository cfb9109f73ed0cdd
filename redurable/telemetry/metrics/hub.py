"""Gauges of the whole hub, which one worker of it shows.

They are not kept in the registry but made of the last sample whenever somebody asks, and only while that is valid: when
the worker hands them to another one, or stands still, its series vanish instead of freezing at what they were.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Final

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from redurable import facts
from redurable.core.values import RuntimeStatus
from redurable.facts import HubSampled
from redurable.telemetry.metrics.board import PREFIX, STREAM, TYPE, Board, Handlers, Label, Metric, gauge

Series = Iterator[tuple[tuple[str, ...], float]]

OPEN = tuple(s.value for s in RuntimeStatus if not s.finished and s is not RuntimeStatus.CONTINUED_AS_NEW)

TABLE: Final[tuple[tuple[Metric, Callable[[HubSampled], Series]], ...]] = (
    (
        gauge("instances_open", "Instances that have not finished.", TYPE, Label("status", OPEN)),
        lambda hub: (((name, status), count) for name, status, count in hub.instances),
    ),
    (
        gauge("instances_quarantined", "Instances that no worker can take turns of."),
        lambda hub: iter([((), hub.quarantined)]),
    ),
    (gauge("deadletter_messages", "Dead letters that lie there."), lambda hub: iter([((), hub.dead)])),
    (
        gauge("stream_length_messages", "Entries of the stream, whoever has them.", STREAM),
        lambda hub: (((stream.queue,), stream.length) for stream in hub.streams),
    ),
    (
        gauge("stream_lag_messages", "Entries that nobody has received yet.", STREAM),
        lambda hub: (((stream.queue,), stream.lag) for stream in hub.streams),
    ),
    (
        gauge("stream_pending_messages", "Entries that somebody has received and not finished.", STREAM),
        lambda hub: (((stream.queue,), stream.pending) for stream in hub.streams),
    ),
    (
        gauge("stream_consumers", "Consumers seen in the last minute.", STREAM),
        lambda hub: (((stream.queue,), stream.consumers) for stream in hub.streams if stream.queue not in PLAIN),
    ),
    (
        gauge(
            "stream_oldest_waiting_age_seconds", "Age of the oldest entry that nobody has received; 0: none.", STREAM
        ),
        lambda hub: (((stream.queue,), stream.waiting) for stream in hub.streams if stream.queue not in PLAIN),
    ),
    (
        gauge(
            "stream_oldest_pending_age_seconds",
            "Age of the oldest entry that was received and is not finished, since it came; 0: none.",
            STREAM,
        ),
        lambda hub: (((stream.queue,), stream.oldest) for stream in hub.streams if stream.queue not in PLAIN),
    ),
    (gauge("timers_pending", "Durable timers that wait."), lambda hub: iter([((), hub.timers)])),
    (gauge("timers_due", "Durable timers that should have fired by now."), lambda hub: iter([((), hub.due)])),
    (
        gauge("workers", "Workers that are alive.", Label("role", ("orchestrations", "activities"))),
        lambda hub: (((role,), count) for role, count in hub.workers),
    ),
)

PLAIN = (facts.INTAKE, facts.OUTBOX, facts.ANSWERS)
"""Streams that are read without a consumer group."""


class Hub(Collector):
    """Shows the last sample of the hub."""

    def __init__(self, board: Board) -> None:
        self._hub = board.hub
        self._sample: HubSampled | None = None
        self._until = 0.0
        board.registry.register(self)

    def handlers(self) -> Handlers:
        """Fact -> what shows it."""
        return {facts.HubSampled: self._on_sample, facts.HubLeft: self._on_left}

    def describe(self) -> Iterator[GaugeMetricFamily]:
        """All of them, without series."""
        for metric, _ in TABLE:
            yield self._family(metric)

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """What is valid now. Called from the thread that serves metrics."""
        sample = self._sample
        if sample is None or time.monotonic() > self._until:
            return
        for metric, series in TABLE:
            family = self._family(metric)
            for values, number in series(sample):
                family.add_metric((self._hub, *values), number)
            yield family

    def _on_sample(self, fact: facts.HubSampled) -> None:
        self._until = time.monotonic() + fact.valid
        self._sample = fact

    def _on_left(self, fact: facts.HubLeft) -> None:
        self._sample = None

    def _family(self, metric: Metric) -> GaugeMetricFamily:
        labels = ("hub", *(label.name for label in metric.labels))
        return GaugeMetricFamily(f"{PREFIX}{metric.name}", metric.text, labels=labels)
