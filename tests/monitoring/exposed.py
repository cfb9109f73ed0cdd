"""What a worker exposes, as its registry says it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from msgspec import Struct
from prometheus_client import CollectorRegistry

from redurable.telemetry.metrics import Metrics, Names

_SUFFIXES: Final[Mapping[str, tuple[str, ...]]] = {
    "counter": ("_total",),
    "histogram": ("_bucket", "_sum", "_count"),
    "gauge": ("",),
}


class Exposed(Struct, frozen=True):
    """A name that can be queried; `family` is the metric's type."""

    name: str
    family: str


def exposed() -> dict[str, Exposed]:
    """Every name that a query may use, of redurable and of the process."""
    return {name: Exposed(name, family) for name, family in _names(registry())}


def registry() -> CollectorRegistry:
    """Of a worker of one orchestrator and one activity."""
    return Metrics("shop", Names(frozenset({"order"}), frozenset({"charge"}), frozenset({"default"}))).registry


def _names(found: CollectorRegistry) -> list[tuple[str, str]]:
    return [
        (f"{family.name}{suffix}", family.type)
        for family in found.collect()
        for suffix in _SUFFIXES.get(family.type, ("",))
    ]
