"""What a turn tells of external events: how many of each name were not taken, and which ones are waited for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from redurable.core.events import EventRaised
from redurable.core.messages import KeptEvent
from redurable.core.replay import Replay
from redurable.core.settle import Draft


def tell_unread(draft: Draft, replay: Replay) -> None:
    """After a turn of code."""
    _tell(draft, replay.depths() if draft.next is None else _names(draft.next.kept_events))


def tell_recorded(draft: Draft) -> None:
    """After a turn without code: what it recorded was not taken."""
    told = draft.delivery.unread
    recorded = _names(event for event in draft.events if isinstance(event, EventRaised))
    _tell(draft, told | {name: max(told.get(name, 0), 0) + count for name, count in recorded.items()})


def _tell(draft: Draft, depths: dict[str, int]) -> None:
    if draft.state.ended is not None:  # It waits for nothing; its events lie there unread.
        depths = {name: depth for name, depth in depths.items() if depth > 0}
    if depths != draft.delivery.unread:
        draft.unread = depths


def _names(events: Iterable[KeptEvent | EventRaised]) -> dict[str, int]:
    return dict(Counter(event.name for event in events))
