"""Named facts that the runtime announces; whoever wants metrics, spans or logs of them subscribes.

The worker knows no metrics library. Announcing costs one truth test while nobody listens, and facts speak of batches
where the work is done in batches.
"""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct


class InstancesStarted(Struct, frozen=True):
    """Executions took their first turn; one name per execution."""

    names: tuple[str, ...]


class InstancesFinished(Struct, frozen=True):
    """(name, status, seconds since the execution started) of each."""

    ends: tuple[tuple[str, str, float], ...]


class InstancesPurged(Struct, frozen=True):
    """Finished instances were deleted; (status, count) of those that had it. Whoever deletes many, as retention does,
    announces a page of them at a time."""

    purged: tuple[tuple[str, int], ...]


class TurnsTaken(Struct, frozen=True):
    """(name, result: ok | fenced | parked | failed | handed, seconds) of each turn of a batch."""

    turns: tuple[tuple[str, str, float], ...]


class TurnParked(Struct, frozen=True):
    """This code cannot take an instance's turn now; the mail stays where it is. `first`: it was not parked before for
    that reason, so that this is the beginning of a quarantine and no retry."""

    name: str
    instance: str
    reason: str
    detail: str
    first: bool


class QuarantineEnded(Struct, frozen=True):
    """Quarantined instances took a turn; one name per instance."""

    names: tuple[str, ...]


class ActivityAttempted(Struct, frozen=True):
    """An attempt ended, or was canceled; outcome: ok | error | timeout | crashed | non_retryable | canceled | lost |
    later (its function has: it is completed by token) | unknown (no code for it here). `seconds` is 0 for an attempt
    that did not run here."""

    name: str
    outcome: str
    seconds: float
    retried: bool


class TaskStarted(Struct, frozen=True):
    """How long a task had waited in its queue, in seconds."""

    queue: str
    waited: float


class TimersFired(Struct, frozen=True):
    """How late each timer fired, in seconds."""

    lateness: tuple[float, ...]


class MessagesRelayed(Struct, frozen=True):
    """Messages handed on; via: outbox | intake | answers."""

    via: str
    count: int


class DeadLettered(Struct, frozen=True):
    """Messages that went to the dead letters; reason: malformed | missing | finished | taken | late | unusable."""

    reason: str
    count: int


class EventsUnclaimed(Struct, frozen=True):
    """External events for instances that do not exist; outcome: kept | dropped | buried."""

    outcome: str
    count: int


class EventsPiledUp(Struct, frozen=True):
    """More external events of this name wait unread in the instance than a worker lets pass in silence."""

    instance: str
    name: str
    depth: int


class LeasesReclaimed(Struct, frozen=True):
    """Taken over from workers that let them run out; kind: instance | task."""

    kind: str
    count: int


class InstancesSwept(Struct, frozen=True):
    """Instances with mail that nobody had been told of."""

    count: int


class StoreFaulted(Struct, frozen=True):
    """A store verb failed and is repeated."""

    verb: str
    error: str


class CacheEvicted(Struct, frozen=True):
    """Replays that left the cache; reason: full | fenced | parked."""

    reason: str
    count: int


Fact = (
    InstancesStarted
    | InstancesFinished
    | InstancesPurged
    | TurnsTaken
    | TurnParked
    | QuarantineEnded
    | ActivityAttempted
    | TaskStarted
    | TimersFired
    | MessagesRelayed
    | DeadLettered
    | EventsUnclaimed
    | EventsPiledUp
    | LeasesReclaimed
    | InstancesSwept
    | StoreFaulted
    | CacheEvicted
)


class Facts:
    """Where facts are announced. `listening` is False while nobody subscribes: then do not even build the fact."""

    def __init__(self) -> None:
        self._subscribers: list[Callable[[Fact], None]] = []
        self.listening = False

    def subscribe(self, subscriber: Callable[[Fact], None]) -> None:
        """Call `subscriber` with every fact from now on; it must be quick and must not raise."""
        self._subscribers.append(subscriber)
        self.listening = True

    def announce(self, fact: Fact) -> None:
        """Tell every subscriber."""
        for subscriber in self._subscribers:
            subscriber(fact)
