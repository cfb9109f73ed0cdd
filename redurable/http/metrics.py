"""Metrics of the API: how many requests of which route, with which end, and how long they took.

Label values are bounded: the template of the route, never a path; known methods; three-digit codes.
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Histogram, disable_created_metrics, generate_latest

UNKNOWN = "_unknown"
METHODS = frozenset({"GET", "POST", "DELETE", "PUT", "PATCH", "HEAD", "OPTIONS"})
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
MEDIA = "text/plain; version=0.0.4; charset=utf-8"


class HttpMetrics:
    """Counts requests in a registry of its own, or in one that is given."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        disable_created_metrics()
        self.registry = CollectorRegistry() if registry is None else registry
        self._requests = Counter(
            "redurable_http_requests", "Requests answered.", ("route", "method", "code"), registry=self.registry
        )
        self._seconds = Histogram(
            "redurable_http_request_duration_seconds",
            "How long requests took, waits for a completion included.",
            ("route", "method"),
            registry=self.registry,
            buckets=BUCKETS,
        )

    def count(self, route: str, method: str, status: int, seconds: float) -> None:
        """A request was answered; `route` is the template, empty for none."""
        method = method if method in METHODS else UNKNOWN
        self._requests.labels(route or UNKNOWN, method, str(status)).inc()
        self._seconds.labels(route or UNKNOWN, method).observe(seconds)

    def text(self) -> bytes:
        """The exposition of the registry."""
        return generate_latest(self.registry)
