"""An instance at a moment."""

from __future__ import annotations

from msgspec import Raw, Struct

from redurable.core.delivery import Quarantine
from redurable.core.events import Event
from redurable.core.messages import StartExecution
from redurable.core.values import ABSENT, Parent, RuntimeStatus


class Snapshot(Struct, frozen=True, kw_only=True):
    """What is known of an instance at a moment. `unread` counts messages that no turn has read; `unread_events` is
    what the last turn told of external events (`TurnCommit.unread`). A quarantined one was parked `parks` times in a
    row, and is tried again at `parked_until` (milliseconds; 0: now), or, when `held`, only after it is redriven."""

    instance: str
    name: str
    status: RuntimeStatus
    execution: str
    number: int
    created_at: int
    updated_at: int
    parent: Parent | None = None
    tags: dict[str, str] = {}
    memo: Raw = ABSENT
    start: StartExecution | None = None
    first: Event | None = None
    last: Event | None = None
    length: int = 0
    custom_status: Raw | None = None
    unread: int = 0
    unread_events: dict[str, int] = {}
    quarantined: Quarantine | None = None
    parks: int = 0
    parked_until: int = 0
    held: bool = False
