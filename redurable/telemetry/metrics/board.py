"""Declarations of metrics, and the metrics made of them. A group of metrics is a table and the handlers that set it.

Label values are bounded sets, and this is the only place that lets one in: registered names of code, served queues,
words fixed by the runtime. Whatever else a fact says is counted as `_unknown`, so that what outsiders write cannot grow
the number of series. Instance ids and event names are never labels.
"""

from __future__ import annotations

import math
import time
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import product
from typing import Any, Literal, TypeAlias, cast

from msgspec import Struct
from prometheus_client import CollectorRegistry, utils
from prometheus_client.metrics_core import Metric as Samples
from prometheus_client.registry import Collector
from prometheus_client.samples import Exemplar

from redurable.facts import OWN_STREAMS

Handlers: TypeAlias = Mapping[type[Any], Callable[[Any], None]]
"""Fact -> what counts it."""

UNKNOWN = "_unknown"
PREFIX = "redurable_"

_text: Callable[[float], str] = cast("Any", utils).floatToGoString

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


class _Values:
    """One series: a number, or of a histogram how many values fell below each bound, and their sum."""

    __slots__ = ("counts", "labels", "marks", "value")

    def __init__(self, labels: dict[str, str], buckets: int) -> None:
        self.labels = labels
        self.value = 0.0
        self.counts = [0] * buckets
        self.marks: dict[int, tuple[str, str, float, float]] = {}
        """Bucket -> who fell into it last, in which trace, with which value, and when."""


class Family(Collector):
    """One metric with all its series. Every method takes the labels' values in the order of the declaration.

    The numbers are plain ones, and become samples when somebody asks: this costs a worker a tenth of what the library's
    own metrics cost, which lock for every number. Only the thread of the worker's event loop may set them.
    """

    def __init__(self, metric: Metric, hub: str, names: Names) -> None:
        self._metric = metric
        self._hub = hub
        self._allowed = [set(label.values(names)) for label in metric.labels]
        self._bounds = metric.buckets
        self._series: dict[tuple[str, ...], _Values] = {}
        begins = metric.kind == "counter" or not metric.labels
        if begins and not any(label.seen or label.open for label in metric.labels):
            for values in product(*(label.values(names) for label in metric.labels)):
                self._of(values)  # so that `rate` sees the first increment

    def add(self, amount: float, *values: str) -> None:
        """Count so much more."""
        self._of(values).value += amount

    def mark(self, instance: str, *values: str) -> None:
        """Count one, and remember of whom."""
        found = self._of(values)
        found.value += 1
        found.marks[0] = instance, "", 1.0, time.time()

    def set(self, value: float, *values: str) -> None:
        """It is this now."""
        self._of(values).value = value

    def observe(self, value: float, *values: str, of: str = "", trace: str = "") -> None:
        """One more value, and perhaps the instance that it is of, and the id of its trace."""
        found = self._of(values)
        bucket = bisect_left(self._bounds, value)
        found.value += value
        found.counts[bucket] += 1
        if of:
            found.marks[bucket] = of, trace, value, time.time()

    def describe(self) -> Iterator[Samples]:
        """What there is, without series."""
        yield self._samples()

    def collect(self) -> Iterator[Samples]:
        """All series. Called from the thread that serves metrics."""
        samples = self._samples()
        for found in list(self._series.values()):
            if self._metric.kind == "histogram":
                self._add_histogram(samples, found)
            else:
                samples.add_sample(self._metric.full_name, found.labels, found.value, exemplar=_exemplar(found, 0))
        yield samples

    def _samples(self) -> Samples:
        return Samples(f"{PREFIX}{self._metric.name}", self._metric.text, self._metric.kind)

    def _add_histogram(self, samples: Samples, found: _Values) -> None:
        name, below = self._metric.full_name, 0
        for bucket, bound in enumerate((*self._bounds, math.inf)):
            below += found.counts[bucket]
            labels = found.labels | {"le": _text(bound)}
            samples.add_sample(f"{name}_bucket", labels, below, exemplar=_exemplar(found, bucket))
        samples.add_sample(f"{name}_count", found.labels, below)
        samples.add_sample(f"{name}_sum", found.labels, found.value)

    def _of(self, values: tuple[str, ...]) -> _Values:
        found = self._series.get(values)
        if found is None:
            allowed = tuple(map(_allow, self._metric.labels, self._allowed, values))
            found = self._series.get(allowed)
            if found is None:
                names = (label.name for label in self._metric.labels)
                labels = {"hub": self._hub, **dict(zip(names, allowed, strict=True))}
                found = self._series[allowed] = _Values(labels, len(self._bounds) + 1 if self._bounds else 0)
        return found


def _allow(label: Label, allowed: set[str], value: str) -> str:
    if value in allowed:
        return value
    if len(allowed) < label.open:
        allowed.add(value)
        return value
    return label.other


def _exemplar(found: _Values, bucket: int) -> Exemplar | None:
    """Of whom the newest value is, as far as there is room for it in an exemplar; the trace comes first."""
    instance, trace, value, when = found.marks.get(bucket, ("", "", 0.0, 0.0))
    said, room = dict[str, str](), MOST_EXEMPLAR
    for name, text in (("trace_id", trace), ("instance_id", instance)):
        if text and len(name) + len(text) <= room:
            said[name] = text
            room -= len(name) + len(text)
    return Exemplar(said, value, when) if said else None


class Board:
    """Where groups get their metrics made."""

    def __init__(self, hub: str, names: Names, registry: CollectorRegistry) -> None:
        self.hub = hub
        self.names = names
        self.registry = registry

    def made(self, table: Sequence[Metric]) -> Iterator[Family]:
        """The metrics of a table, in its order."""
        for metric in table:
            family = Family(metric, self.hub, self.names)
            self.registry.register(family)
            yield family
