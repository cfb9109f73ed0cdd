"""Named facts that the runtime announces; whoever wants metrics, spans or logs of them subscribes.

The worker knows no metrics library. Announcing costs one truth test while nobody listens, and facts speak of batches
where the work is done in batches.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from msgspec import Struct

log = logging.getLogger("redurable.facts")

READY, HANDED, INTAKE, OUTBOX, ANSWERS = "_ready", "_handed", "_intake", "_outbox", "_answers"
"""What facts call the runtime's own streams where they speak of queues: ready entries, entries that other workers
handed over, what foreign clients and foreign workers write, messages on their way to other partitions."""
OWN_STREAMS = (READY, HANDED, INTAKE, OUTBOX, ANSWERS)


class InstancesStarted(Struct, frozen=True):
    """Executions took their first turn; (name, trigger: client | child | continue_as_new) of each."""

    starts: tuple[tuple[str, str], ...]


class InstancesFinished(Struct, frozen=True):
    """(name, status, seconds since the execution started, instance, id of its trace or nothing) of each."""

    ends: tuple[tuple[str, str, float, str, str], ...]


class InstancesPurged(Struct, frozen=True):
    """Finished instances were deleted; (status, count) of those that had it. Whoever deletes many, as retention does,
    announces a page of them at a time."""

    purged: tuple[tuple[str, int], ...]


class TurnTaken(Struct, frozen=True):
    """One turn; result: ok | fenced | parked | failed | handed. `replay`: cached (the replay was in memory), replayed
    (the turn began with the whole history) or begun (there was none). `events`: how long the history is now, 0 where
    the turn wrote nothing. `waited`: seconds that the ready entry had lain there; less than 0: not known. `trace_id`:
    32 hexadecimal digits, empty when it belongs to no trace. `filled`: the fraction of its cap that the history has
    reached, 0 for an execution that ended."""

    name: str
    instance: str
    result: str
    seconds: float
    replay: str = "begun"
    events: int = 0
    waited: float = -1.0
    trace_id: str = ""
    filled: float = 0.0


class TurnsTaken(Struct, frozen=True):
    """The turns of a batch."""

    turns: tuple[TurnTaken, ...]


class CommitsConflicted(Struct, frozen=True):
    """Commits that changed nothing; reason: fenced (another worker was quicker) | duplicate (it was written before)."""

    reason: str
    count: int


class PayloadsMoved(Struct, frozen=True):
    """(kind: input | result | event | activity_input | activity_result, bytes) of each payload that turns wrote."""

    sizes: tuple[tuple[str, int], ...]


class PayloadsRejected(Struct, frozen=True):
    """What user code made and was not accepted; reason: invalid_payload (one that is too large, or does not fit its
    type) | turn_limit (one step made too much)."""

    reason: str
    count: int


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
    that did not run here. `error` is the type of its failure, empty where there is none. `trace_id`: 32 hexadecimal
    digits, empty when it belongs to no trace."""

    name: str
    outcome: str
    seconds: float
    retried: bool
    instance: str = ""
    error: str = ""
    trace_id: str = ""


class TaskStarted(Struct, frozen=True):
    """How long a task of an instance had waited in its queue, in seconds. `trace_id`: as in `ActivityAttempted`."""

    queue: str
    waited: float
    instance: str = ""
    trace_id: str = ""


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


class Span(Struct, frozen=True, kw_only=True):
    """A stretch of traced work that is over; times in milliseconds of the Unix epoch, by the store's clock.

    `kind`: orchestration | sub_orchestration | create_orchestration | orchestration_event | activity | timer | event |
    suspended | resumed. `id`: 16 hexadecimal digits (empty: any id will do). It belongs below the span that
    `traceparent` names, or is that span itself: then it is the first of its trace. `failure`: type, message, stack.
    `link`: the traceparent of a span that it follows from.
    """

    kind: str
    name: str
    id: str
    traceparent: str
    tracestate: str
    begun: float
    ended: float
    outcome: str = ""
    failure: tuple[str, str, str] | None = None
    link: str = ""
    fields: dict[str, str | int] = {}


class SpansEnded(Struct, frozen=True):
    """Told of once, when what ended them is in the store; only where a start carried a trace context."""

    spans: tuple[Span, ...]


# -- messages and leases, as the store's verbs hand them out and take them back


class Polled(Struct, frozen=True):
    """A worker asked for work; (queue, how many messages came) of each queue that it asked."""

    queues: tuple[tuple[str, int], ...]


class MessagesEnded(Struct, frozen=True):
    """Messages were acknowledged; (queue, count, `late`: how many more were ended before by somebody else)."""

    queues: tuple[tuple[str, int, int], ...]


class MessagesReclaimed(Struct, frozen=True):
    """Messages were taken over whose holder had fallen silent; (queue, count)."""

    queues: tuple[tuple[str, int], ...]


class LeasesHandled(Struct, frozen=True):
    """Leases in one call of the store; op: renew | reclaim | recover | hand_over. `lost`: how many of them are
    somebody else's now."""

    op: str
    ok: int
    lost: int = 0


# -- samples: what a worker, its store and its hub look like every now and then


class WorkerSampled(Struct, frozen=True, kw_only=True):
    """A worker, about once a second. `slots`: (kind: activity | activity_thread | orchestrator, how many, how many are
    used). `silent`: seconds since it last asked for work, or had reason to wait with that. `store_silent`: seconds
    since the store answered a heartbeat. `lags`: by how many seconds the event loop woke a sleeper too late."""

    slots: tuple[tuple[str, int, int], ...]
    cached: int
    cached_bytes: int
    most_cached: int
    most_cached_bytes: int
    instances_held: int
    tasks_held: int
    draining: bool
    silent: float
    store_silent: float
    lags: tuple[float, ...]


class StoreSampled(Struct, frozen=True):
    """What the connections of a store did since the last sample. `calls`: (op, seconds) of each command that does not
    block; `errors`: (op, unavailable | timeout | refused | full | damaged | other)."""

    calls: tuple[tuple[str, float], ...] = ()
    errors: tuple[tuple[str, str], ...] = ()
    reconnects: int = 0
    idle: int = 0
    in_use: int = 0


class StreamSampled(Struct, frozen=True):
    """A stream of the hub in all partitions together. Ages in seconds, 0: there is no such entry. `lag`: entries that
    nobody has received."""

    queue: str
    length: int
    lag: int
    pending: int = 0
    consumers: int = 0
    waiting: float = 0.0
    oldest: float = 0.0


class HubSampled(Struct, frozen=True, kw_only=True):
    """The whole hub, announced by one worker of it only (see `Facts.subscribe`). It is out of date after `valid`
    seconds. `instances`: (name, status, count) of those that have not finished, of orchestrators that some worker
    registers; all others are named _unknown. `workers`: (role, count)."""

    streams: tuple[StreamSampled, ...]
    instances: tuple[tuple[str, str, int], ...]
    workers: tuple[tuple[str, int], ...]
    quarantined: int
    dead: int
    timers: int
    due: int
    valid: float


class HubLeft(Struct, frozen=True):
    """This worker does not sample the hub any more: another one does, or it ends."""


Fact = (
    InstancesStarted
    | InstancesFinished
    | InstancesPurged
    | TurnsTaken
    | CommitsConflicted
    | PayloadsMoved
    | PayloadsRejected
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
    | Polled
    | MessagesEnded
    | MessagesReclaimed
    | LeasesHandled
    | WorkerSampled
    | StoreSampled
    | HubSampled
    | HubLeft
    | SpansEnded
)


class Facts:
    """Where facts are announced. `listening` is False while nobody subscribes: then do not even build the fact. `hub`:
    somebody wants to know of the whole hub."""

    def __init__(self) -> None:
        self._subscribers: list[Callable[[Fact], None]] = []
        self._failed: list[Callable[[Fact], None]] = []
        self.listening = False
        self.hub = False

    def subscribe(self, subscriber: Callable[[Fact], None], *, hub: bool = False) -> None:
        """Call `subscriber` with every fact from now on; it must be quick. What it raises is logged, the first time.

        `hub`: it wants samples of the whole hub, too (`HubSampled`). Of all workers with such a subscriber one
        announces them. A worker tells the others so when it begins to run, so subscribe before.
        """
        self._subscribers.append(subscriber)
        self.listening = True
        self.hub |= hub

    def announce(self, fact: Fact) -> None:
        """Tell every subscriber. Facts tell of work that is done already: a subscriber that goes wrong harms none."""
        for subscriber in self._subscribers:
            try:
                subscriber(fact)
            except Exception:
                self._note(subscriber)

    def _note(self, subscriber: Callable[[Fact], None]) -> None:
        if subscriber not in self._failed:
            self._failed.append(subscriber)
            log.exception("a subscriber of facts went wrong, and is told of once: %r", subscriber)
