"""Log lines of user code: who wrote them, and each line of an orchestrator once, although its code runs again on every
replay."""

from __future__ import annotations

import logging
from collections.abc import MutableMapping
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, NamedTuple

from redurable.authoring.activity_context import ActivityContext
from redurable.core.definition import Scope

if TYPE_CHECKING:
    _Adapter = logging.LoggerAdapter[logging.Logger]
else:
    _Adapter = logging.LoggerAdapter


class Running(NamedTuple):
    """An orchestrator whose code runs."""

    name: str
    scope: Scope


running: ContextVar[Running] = ContextVar("redurable_orchestrator")
"""Set in the context of an orchestrator's code, and in that of its tasks."""


class RunFilter(logging.Filter):
    """For the handlers of a program: gives the records of orchestrators and activities the attributes `instance_id`,
    `execution`, `orchestrator` or `activity` and `attempt`, and `traceparent` where there is one; drops what an
    orchestrator logs while it replays. It works for every logger, in the code and in the libraries that it calls.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """False for what was logged before."""
        found = running.get(None)
        if found is not None and found.scope.replaying:
            return False
        bound = _of_activity() if found is None else _of_orchestrator(found)
        record.__dict__.update({field: value for field, value in bound.items() if field not in record.__dict__})
        record.bound = bool(bound)
        return True


def _of_orchestrator(found: Running) -> dict[str, str | int]:
    scope = found.scope
    fields: dict[str, str | int] = {
        "instance_id": scope.instance,
        "execution": scope.execution,
        "orchestrator": found.name,
    }
    return fields if scope.trace is None else {**fields, "traceparent": scope.trace.traceparent}


def _of_activity() -> dict[str, str | int]:
    found = ActivityContext.running()
    if found is None:
        return {}
    fields: dict[str, str | int] = {
        "instance_id": found.instance_id,
        "execution": found.execution,
        "activity": found.name,
        "attempt": found.attempt,
    }
    return {**fields, "traceparent": found.traceparent} if found.traceparent else fields


class ReplaySafeLogger(_Adapter):
    """A logger that is silent while the scope replays; its records carry `instance_id` and `execution`."""

    def __init__(self, logger: logging.Logger, scope: Scope) -> None:
        super().__init__(logger, {"instance_id": scope.instance, "execution": scope.execution})
        self._scope = scope

    def isEnabledFor(self, level: int) -> bool:  # noqa: N802 - the name that logging calls
        """False while replaying."""
        return not self._scope.replaying and super().isEnabledFor(level)

    def process(self, msg: Any, kwargs: MutableMapping[str, Any]) -> tuple[Any, MutableMapping[str, Any]]:
        """Add the bound fields to the record, beside those that the call gives."""
        kwargs["extra"] = {**(self.extra or {}), **(kwargs.get("extra") or {})}
        return msg, kwargs
