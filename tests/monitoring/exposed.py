"""What a worker exposes, by the declarations of its metrics."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Final

from msgspec import Struct
from prometheus_client import CollectorRegistry

from redurable.telemetry.metrics.metrics import TABLES
from redurable.telemetry.metrics.process import add_process

_SUFFIXES: Final[Mapping[str, tuple[str, ...]]] = {
    "counter": ("",),
    "gauge": ("",),
    "histogram": ("_bucket", "_sum", "_count"),
}
OF_THE_TARGET = frozenset({"job", "instance"})


class Exposed(Struct, frozen=True):
    """A name that can be queried: the kind of its metric, and the labels that series of it have."""

    kind: str
    labels: frozenset[str]


@cache
def exposed() -> Mapping[str, Exposed]:
    """Every name that a query may use, of redurable and of the process."""
    found = {
        f"{metric.full_name}{suffix}": Exposed(
            metric.kind, OF_THE_TARGET | {"hub", *(label.name for label in metric.labels), *_bound(suffix)}
        )
        for _, table in TABLES
        for metric in table
        for suffix in _SUFFIXES[metric.kind]
    }
    return found | _of_the_process()


def _bound(suffix: str) -> tuple[str, ...]:
    return ("le",) if suffix == "_bucket" else ()


def _of_the_process() -> dict[str, Exposed]:
    registry = CollectorRegistry()
    add_process(registry)
    return {
        sample.name: Exposed(family.type, OF_THE_TARGET | set(sample.labels))
        for family in registry.collect()
        for sample in family.samples
    }
