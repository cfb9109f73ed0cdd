"""Events for instances that do not exist: logged and counted where a worker meets them.

What becomes of them is the hub's rule, which the store applies; see `store.port.UnknownInstance`.
"""

from __future__ import annotations

from redurable.facts import EventsUnclaimed
from redurable.store.port import SendOutcome
from redurable.store.unknown import Unclaimed
from redurable.worker.common import Common, log

NOBODYS = Unclaimed()
"""There were none."""


def tell_unclaimed(common: Common, unclaimed: Unclaimed) -> None:
    """Say what became of them, once for a batch."""
    for outcome, count, what in (
        (SendOutcome.KEPT, unclaimed.kept, "kept until it starts"),
        (SendOutcome.DROPPED, unclaimed.dropped, "dropped"),
        (SendOutcome.BURIED, unclaimed.buried, "sent to the dead letters"),
    ):
        if count:
            log.warning("%d event(s) for an instance that does not exist: %s", count, what)
            if common.facts.listening:
                common.facts.announce(EventsUnclaimed(outcome.value, count))
