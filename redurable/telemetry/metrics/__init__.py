"""Prometheus metrics of a worker: a subscriber of its facts, with a registry of its own. docs/metrics.md lists them."""

from redurable.telemetry.metrics.metrics import UNKNOWN, Metrics, Names

__all__ = ["UNKNOWN", "Metrics", "Names"]
