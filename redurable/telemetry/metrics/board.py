"""Declarations of metrics, and the metrics made of them. A group of metrics is a table and the handlers that set it.

Label values are bounded sets, and this is the only place that lets one in: registered names of code, served queues,
words fixed by the runtime. Whatever else a fact says is counted as `_unknown`, so that what outsiders write cannot grow
the number of series. Instance ids and event names are never labels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import product
from typing import Any, Literal, TypeAlias

from msgspec import Struct
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from redurable.facts import OWN_STREAMS

Handlers: TypeAlias = Mapping[type[Any], Callable[[Any], None]]
"""Fact -> what counts it."""

UNKNOWN = "_unknown"
PREFIX = "redurable_"

MOST_EXEMPLAR = 128
"""The characters of an exemplar's names and values together, by the OpenMetrics format."""


class Names(Struct, frozen=True):
    """What a worker serves: the only names of code and queues that may become label values."""

    orchestrators: frozenset[str] = frozenset()
    activities: frozenset[str] = frozenset()
    queues: frozenset[str] = frozenset()


class Label(Struct, frozen=True):
    """A label and its values: these `words`, and the registered names of a kind. All other values become `other`. An
    `open` label takes values as they come, the first so many of them. Series of a `seen` label exist when they are
    first set, those of all others from the start."""

    name: str
    words: tuple[str, ...] = ()
    registered: Literal["", "orchestrators", "activities", "queues"] = ""
    other: str = UNKNOWN
    open: int = 0
    seen: bool = False

    def values(self, names: Names) -> tuple[str, ...]:
        """All values that are known before anything happens."""
        return (*self.words, *(sorted(getattr(names, self.registered)) if self.registered else ()))


TYPE = Label("type", registered="orchestrators")
ACTIVITY = Label("activity", registered="activities")
QUEUE = Label("queue", registered="queues")
STREAM = Label("queue", OWN_STREAMS, "queues")


class Metric(Struct, frozen=True):
    """A declaration. `name` is without the prefix, and without the `_total` of a counter."""

    kind: Literal["counter", "gauge", "histogram"]
    name: str
    text: str
    labels: tuple[Label, ...] = ()
    buckets: tuple[float, ...] = ()

    @property
    def full_name(self) -> str:
        """As it is exposed, without the suffixes of a histogram's series."""
        return f"{PREFIX}{self.name}{'_total' if self.kind == 'counter' else ''}"


def counter(name: str, text: str, *labels: Label) -> Metric:
    """What only goes up."""
    return Metric("counter", name, text, labels)


def gauge(name: str, text: str, *labels: Label) -> Metric:
    """What is as it is."""
    return Metric("gauge", name, text, labels)


def histogram(name: str, text: str, buckets: tuple[float, ...], *labels: Label) -> Metric:
    """How values are distributed; `buckets` are their upper bounds."""
    return Metric("histogram", name, text, labels, buckets)


class Family:
    """One metric with all its series. Every method takes the labels' values in the order of the declaration."""

    def __init__(self, metric: Metric, hub: str, names: Names, registry: CollectorRegistry) -> None:
        self._hub = hub
        self._labels = metric.labels
        self._allowed = [set(label.values(names)) for label in metric.labels]
        self._children: dict[tuple[str, ...], Any] = {}
        labels = ("hub", *(label.name for label in metric.labels))
        name = f"{PREFIX}{metric.name}"
        match metric.kind:
            case "counter":
                self._made = Counter(name, metric.text, labels, registry=registry)
            case "gauge":
                self._made = Gauge(name, metric.text, labels, registry=registry)
            case "histogram":
                self._made = Histogram(name, metric.text, labels, registry=registry, buckets=metric.buckets)
        if metric.kind == "counter" and not any(label.seen or label.open for label in metric.labels):
            for values in product(*(label.values(names) for label in metric.labels)):
                self._of(values)  # so that `rate` sees the first increment

    def add(self, amount: float, *values: str) -> None:
        """Count so much more."""
        self._of(values).inc(amount)

    def mark(self, exemplar: Mapping[str, str] | None, *values: str) -> None:
        """Count one, and remember of whom."""
        self._of(values).inc(1, exemplar)

    def set(self, value: float, *values: str) -> None:
        """It is this now."""
        self._of(values).set(value)

    def observe(self, value: float, *values: str, exemplar: Mapping[str, str] | None = None) -> None:
        """One more value, and perhaps whose it is."""
        self._of(values).observe(value, exemplar)

    def _of(self, values: tuple[str, ...]) -> Any:
        found = self._children.get(values)
        if found is None:
            allowed = tuple(map(self._allow, self._labels, self._allowed, values))
            found = self._children.get(allowed)
            if found is None:
                found = self._children[allowed] = self._made.labels(self._hub, *allowed)
        return found

    def _allow(self, label: Label, allowed: set[str], value: str) -> str:
        if value in allowed:
            return value
        if len(allowed) < label.open:
            allowed.add(value)
            return value
        return label.other


class Board:
    """Where groups get their metrics made."""

    def __init__(self, hub: str, names: Names, registry: CollectorRegistry) -> None:
        self.hub = hub
        self.names = names
        self.registry = registry

    def made(self, table: Sequence[Metric]) -> Iterator[Family]:
        """The metrics of a table, in its order."""
        for metric in table:
            yield Family(metric, self.hub, self.names, self.registry)


def exemplar(instance: str) -> dict[str, str] | None:
    """Who an observation is about; None where that is too long for an exemplar."""
    fits = instance and len("instance_id") + len(instance) <= MOST_EXEMPLAR
    return {"instance_id": instance} if fits else None
