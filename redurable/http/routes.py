"""All routes."""

from __future__ import annotations

from redurable.http import instances, operations, probes, starts
from redurable.http.keys import Role
from redurable.http.metrics import HttpMetrics
from redurable.http.payloads import RPC, WEBHOOKS
from redurable.http.router import Route

READ, OPERATE, ADMIN = Role

_AZURE = (
    Route("POST", "/orchestrators/{functionName}", OPERATE, starts.start, "start"),
    Route("POST", "/orchestrators/{functionName}/{instanceId}", OPERATE, starts.start, "start"),
    Route("GET", "/instances", READ, instances.list_instances),
    Route("DELETE", "/instances", ADMIN, instances.purge_many, "purge-many"),
    Route("GET", "/instances/{instanceId}", READ, instances.get_status),
    Route("DELETE", "/instances/{instanceId}", ADMIN, instances.purge, "purge"),
    Route("POST", "/instances/{instanceId}/raiseEvent/{eventName}", OPERATE, operations.raise_event, "raise-event"),
    Route("POST", "/instances/{instanceId}/terminate", OPERATE, operations.terminate, "terminate"),
    Route("POST", "/instances/{instanceId}/suspend", OPERATE, operations.suspend, "suspend"),
    Route("POST", "/instances/{instanceId}/resume", OPERATE, operations.resume, "resume"),
    Route("POST", "/instances/{instanceId}/rewind", OPERATE, operations.rewind, "rewind"),
    Route("POST", "/instances/{instanceId}/restart", OPERATE, starts.restart, "restart"),
    Route("GET", "/entities", READ, operations.list_entities),
    Route("GET", "/entities/{entityName}", READ, operations.list_entities),
    Route("GET", "/entities/{entityName}/{entityKey}", READ, operations.get_entity),
    Route("POST", "/entities", OPERATE, operations.signal_entity, "signal-entity"),
    Route("POST", "/entities/{entityName}", OPERATE, operations.signal_entity, "signal-entity"),
    Route("POST", "/entities/{entityName}/{entityKey}", OPERATE, operations.signal_entity, "signal-entity"),
    Route("DELETE", "/entities", OPERATE, operations.signal_entity, "signal-entity"),
    Route("DELETE", "/entities/{entityName}", OPERATE, operations.signal_entity, "signal-entity"),
    Route("DELETE", "/entities/{entityName}/{entityKey}", OPERATE, operations.signal_entity, "signal-entity"),
    Route("POST", "/makeprimary", ADMIN, operations.make_primary, "make-primary"),
)
"""Azure's, below both of its bases."""


def all_routes(metrics: HttpMetrics) -> list[Route]:
    """Azure's routes below both of their bases, and those of the process."""
    webhooks = [route._replace(template=f"{WEBHOOKS}{route.template}") for route in _AZURE]
    rpc = [route._replace(template=f"{RPC}{route.template}", rpc=True) for route in _AZURE]
    own = [
        Route("GET", "/livez", None, probes.live),
        Route("GET", "/readyz", None, probes.ready),
        Route("GET", "/openapi.json", None, probes.openapi),
        Route("GET", "/scaler", READ, probes.scaler),
        Route("GET", "/metrics", READ, probes.metrics_of(metrics)),
    ]
    return [*webhooks, *rpc, *own]
