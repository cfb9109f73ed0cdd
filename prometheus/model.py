"""What a rule is, as frozen values."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

Severity = Literal["critical", "warning"]
"""`critical` wakes somebody; `warning` can wait for the morning."""

Dashboard = Literal["redurable-overview", "redurable-orchestrators", "redurable-workers", "redurable-redis"]


class Recording(Struct, frozen=True):
    """A query that is evaluated before others need it; named level:metric:operation."""

    record: str
    expr: str


class Alert(Struct, frozen=True):
    """`held`: for how long it must be so before it fires. `text` says what it means for users; what to do stands in
    docs/runbook.md under the alert's name."""

    name: str
    expr: str
    held: str
    severity: Severity
    summary: str
    text: str
    dashboard: Dashboard


class Group(Struct, frozen=True):
    """Rules that are evaluated together, in order."""

    name: str
    rules: tuple[Recording | Alert, ...]
