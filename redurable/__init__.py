"""Durable Functions on Redis: orchestrators as ordinary async functions that survive any crash.

    app = App("orders")

    @app.activity
    async def charge(order: Order) -> Receipt: ...

    @app.orchestrator
    async def process(ctx: OrchestrationContext, order: Order) -> Receipt:
        return await ctx.call_activity(charge, order)

Everything public is here; what lies in the packages below may change between releases.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from redurable.errors import (
    ActivityCrashed,
    ActivityFailed,
    ActivityTimedOut,
    AttemptNotFound,
    CallerError,
    CallFailed,
    DeterminismError,
    ExecutionTimedOut,
    HeartbeatTimeout,
    HistoryLimitExceeded,
    HubNotFound,
    InstanceAlreadyExists,
    InstanceFinished,
    InstanceNotFailed,
    InstanceNotFinished,
    InstanceNotFound,
    InvalidFilter,
    InvalidHistory,
    InvalidName,
    InvalidPayload,
    InvalidPosition,
    InvalidToken,
    MissingExtra,
    NondeterminismError,
    NotBuilt,
    NotDeterministic,
    OrchestrationCanceled,
    OrchestrationEnded,
    OrchestrationFailed,
    OrchestrationTerminated,
    RedurableError,
    RegistrationError,
    RetryAfter,
    ScheduleToCloseTimeout,
    ScheduleToStartTimeout,
    StartToCloseTimeout,
    StoreDamaged,
    StoreError,
    StoreFull,
    StoreRefused,
    StoreUnavailable,
    SubOrchestrationFailed,
    TurnLimitExceeded,
    UnknownFunction,
    WorkerStopped,
)

if TYPE_CHECKING:
    from redurable.authoring.activity_context import ActivityContext
    from redurable.authoring.app import App
    from redurable.authoring.context import OrchestrationContext
    from redurable.authoring.functions import Activity, AsyncActivity, Orchestrator, SyncActivity
    from redurable.authoring.http_calls import HttpResponse
    from redurable.authoring.methods import activity
    from redurable.authoring.policies import RetryPolicy
    from redurable.client import (
        BulkProgress,
        Client,
        DeadLetter,
        Handle,
        InstanceFilters,
        Page,
        PendingActivity,
        Quarantine,
        Reason,
        Status,
    )
    from redurable.core.values import Backoff, Failure, RuntimeStatus
    from redurable.settings import WorkerSettings
    from redurable.worker.worker import Worker

__all__ = [  # noqa: RUF022 - grouped by who needs them
    # Writing orchestrators and activities
    "App",
    "activity",
    "OrchestrationContext",
    "ActivityContext",
    "HttpResponse",
    "RetryPolicy",
    "Backoff",
    "Orchestrator",
    "Activity",
    "AsyncActivity",
    "SyncActivity",
    # Running them
    "Worker",
    "WorkerSettings",
    # Starting them and asking how they are
    "Client",
    "Handle",
    "Status",
    "InstanceFilters",
    "Page",
    "BulkProgress",
    "PendingActivity",
    "DeadLetter",
    "Quarantine",
    "Reason",
    "RuntimeStatus",
    "Failure",
    # Errors; see redurable.errors for the tree
    "RedurableError",
    "CallerError",
    "InvalidName",
    "InvalidPayload",
    "RegistrationError",
    "InvalidToken",
    "InvalidFilter",
    "AttemptNotFound",
    "UnknownFunction",
    "HubNotFound",
    "InstanceNotFound",
    "InstanceAlreadyExists",
    "InstanceFinished",
    "InstanceNotFinished",
    "InstanceNotFailed",
    "InvalidPosition",
    "InvalidHistory",
    "NotBuilt",
    "OrchestrationEnded",
    "OrchestrationFailed",
    "ExecutionTimedOut",
    "HistoryLimitExceeded",
    "OrchestrationCanceled",
    "OrchestrationTerminated",
    "CallFailed",
    "ActivityFailed",
    "ActivityCrashed",
    "ActivityTimedOut",
    "ScheduleToStartTimeout",
    "StartToCloseTimeout",
    "ScheduleToCloseTimeout",
    "HeartbeatTimeout",
    "SubOrchestrationFailed",
    "RetryAfter",
    "DeterminismError",
    "NondeterminismError",
    "NotDeterministic",
    "TurnLimitExceeded",
    "StoreError",
    "StoreUnavailable",
    "StoreFull",
    "StoreRefused",
    "StoreDamaged",
    "MissingExtra",
    "WorkerStopped",
]

_HOMES = {
    "redurable.authoring.activity_context": ("ActivityContext",),
    "redurable.authoring.app": ("App",),
    "redurable.authoring.context": ("OrchestrationContext",),
    "redurable.authoring.functions": ("Activity", "AsyncActivity", "Orchestrator", "SyncActivity"),
    "redurable.authoring.http_calls": ("HttpResponse",),
    "redurable.authoring.methods": ("activity",),
    "redurable.authoring.policies": ("RetryPolicy",),
    "redurable.client": (
        *("BulkProgress", "Client", "DeadLetter", "Handle", "InstanceFilters"),
        *("Page", "PendingActivity", "Quarantine", "Reason", "Status"),
    ),
    "redurable.core.values": ("Backoff", "Failure", "RuntimeStatus"),
}
"""Imported all together when one of them is asked for: the command line asks for few things, and an app for most."""
_WORKER = {"Worker": "redurable.worker.worker", "WorkerSettings": "redurable.settings"}
"""Who only starts orchestrations does not pay for importing the worker."""


def _publish(name: str, value: Any) -> Any:
    # Tracebacks and reprs show the name under which a thing is imported, not the file that it happens to be in.
    value.__module__ = __name__
    globals()[name] = value
    return value


def __getattr__(name: str) -> Any:
    if name in _WORKER:
        return _publish(name, getattr(import_module(_WORKER[name]), name))
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    for home, names in _HOMES.items():
        module = import_module(home)
        for each in names:
            _publish(each, getattr(module, each))
    return globals()[name]


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


for _name in set(__all__) & set(globals()):
    _publish(_name, globals()[_name])
