"""How much work lies where: what `Inspect.depths` answers. For gauges, for autoscalers, and for people."""

from __future__ import annotations

from msgspec import Struct

SEEN_MS = 60_000
"""A consumer counts for so long after it was last seen."""
MOST_QUEUES = 1_000
"""So many task queues are looked at: any program may say that it serves another one."""


class Depth(Struct, frozen=True):
    """The streams of one kind in all partitions together.

    `length` entries, of which nobody has received `lag` yet; `pending` were received and are not finished. `consumers`
    were seen there within `SEEN_MS`, each counted once. The oldest entry that nobody has received came in `waiting_ms`
    milliseconds ago, the oldest one that is not finished `pending_ms`; 0: there is none.
    """

    length: int = 0
    lag: int = 0
    pending: int = 0
    consumers: int = 0
    waiting_ms: int = 0
    pending_ms: int = 0


class Depths(Struct, frozen=True, kw_only=True):
    """A hub at a moment, `now` by the store's clock.

    `ready`: instances that have mail, that is turns to take. `queues`: the task queues by name. `intake`, `outbox` and
    `answers`: entries that nobody has delivered, or dealt with, yet. `dead`: dead letters. `timers` are all that wait;
    `due` of them should have fired by now. `open`: instances that have not finished.
    """

    now: int
    ready: Depth = Depth()
    queues: dict[str, Depth] = {}
    intake: int = 0
    outbox: int = 0
    answers: int = 0
    dead: int = 0
    timers: int = 0
    due: int = 0
    open: int = 0
