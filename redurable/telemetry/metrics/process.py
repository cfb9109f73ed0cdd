"""What Prometheus' own library tells of a process: memory, processor time, open files, the garbage collector."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector


def add_process(registry: CollectorRegistry) -> None:
    """Add them to a registry, under the names that everybody's dashboards know; they have no label `hub`."""
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)
