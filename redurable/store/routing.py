"""What becomes of entries of the intake and of the outboxes: the answers of the store's verbs `route` and `relay`."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from redurable.store.unknown import Unclaimed

Grievance = Literal["malformed", "missing", "finished", "taken", "late", "unusable"]
"""Why a message became a dead letter: it cannot be read, there is no such instance, that has finished, the id of what
it starts is taken, the attempt that it completes is over, the mailbox takes nothing."""


class Routed(Struct, frozen=True):
    """How many intake entries were delivered (or kept for their instance), and why others are dead letters, sorted.
    `unclaimed` counts events for instances that do not exist; those that were buried are among the `dead`, too. `told`:
    what others did to the intake itself."""

    delivered: int = 0
    dead: tuple[Grievance, ...] = ()
    unclaimed: Unclaimed = Unclaimed()
    told: tuple[str, ...] = ()


class Relayed(Struct, frozen=True):
    """How many entries left an outbox."""

    count: int = 0
    unclaimed: Unclaimed = Unclaimed()


def grievance_of(outcome: str) -> Grievance:
    """Why a message with this `SendOutcome` is a dead letter; "sent" stands for a start whose id is taken."""
    match outcome:
        case "missing" | "buried":
            return "missing"
        case "sent":
            return "taken"
        case _:
            return "finished"
