"""What becomes of entries of the intake: values of the port."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

Grievance = Literal["malformed", "missing", "finished", "taken", "late", "unusable"]
"""Why a message became a dead letter: it cannot be read, there is no such instance, that has finished, the id of what
it starts is taken, the attempt that it completes is over, the mailbox takes nothing."""


class Routed(Struct, frozen=True):
    """How many intake entries were delivered, and why each of the others went to the dead letters."""

    delivered: int = 0
    dead: tuple[Grievance, ...] = ()


def grievance_of(outcome: str) -> Grievance:
    """Why a message with this `SendOutcome` is a dead letter; "sent" stands for a start whose id is taken."""
    match outcome:
        case "missing":
            return "missing"
        case "sent":
            return "taken"
        case _:
            return "finished"
