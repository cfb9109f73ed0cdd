"""The only place where a key name is made.

Hub keys share the hash tag `{hub}`, the keys of a partition share `{hub:pN}`, so every verb stays in one slot.
Ids stand last in a name, because they may hold any character.
"""

from __future__ import annotations

GROUP = "w"
"""The one consumer group of every ready stream and task queue."""

_TYPES = {
    "stream": ("intake", "aside", "dead", "ready", "outbox", "feed", "cancels", "tasks", "answers", "m", "handed"),
    "hash": ("meta", "marks", "retries", "beats", "unknown", "i", "skills"),
    "zset": ("workers", "timers", "canceled", "k", "ix", "ended", "parked", "updated", "named", "tag"),
    "set": ("open", "queues", "names", "kids"),
    "string": ("s", "c", "q"),
    "list": ("h", "e", "x"),
}
_TYPE_OF = {part: kind for kind, parts in _TYPES.items() for part in parts}


def type_of(key: str) -> str:
    """What the server calls the type of this key; empty for a key that is none of ours."""
    if not key.startswith("rd:{"):
        return ""
    return _TYPE_OF.get(key.partition("}:")[2].partition(":")[0], "")


def owner(key: bytes) -> bytes:
    """What all keys of its hub, or of its partition, begin with."""
    base, end, _ = key.partition(b"}:")
    return base + end


class HubKeys:
    """The keys outside the partitions."""

    __slots__ = ("_base", "aside", "dead", "intake", "marks", "meta", "queues", "skills", "workers")

    def __init__(self, hub: str) -> None:
        base = self._base = f"rd:{{{hub}}}:"
        self.meta = base + "meta"  # hash: format, partitions, created
        self.intake = base + "intake"  # stream that any client may XADD to
        self.aside = base + "aside"  # stream: an intake whose ids are used up, until it is routed
        self.dead = base + "dead"  # stream of dead letters
        self.marks = base + "marks"  # hash: source partition -> last outbox id delivered to `dead`
        self.workers = base + "workers"  # zset: consumer -> time of its last heartbeat
        self.queues = base + "queues"  # set: task queues that foreign workers serve
        self.skills = base + "skills"  # hash: consumer -> what it can do, as JSON

    def handed(self, consumer: str) -> str:
        """Stream: ready entries that others handed over to this consumer."""
        return f"{self._base}handed:{consumer}"


class PartitionKeys:
    """The keys of one partition."""

    __slots__ = (
        "_base",
        "answers",
        "beats",
        "canceled",
        "cancels",
        "ended",
        "feed",
        "ix",
        "marks",
        "names",
        "number",
        "open",
        "outbox",
        "parked",
        "ready",
        "retries",
        "timers",
        "unknown",
        "updated",
    )

    def __init__(self, hub: str, number: int) -> None:
        base = self._base = f"rd:{{{hub}:p{number}}}:"
        self.number = number
        self.ready = base + "ready"  # stream: which instances have mail; its group is the peek-lock
        self.timers = base + "timers"  # zset: member -> due
        self.retries = base + "retries"  # hash: timer member -> task for its queue (r), or its entry there (s)
        self.beats = base + "beats"  # hash: call of an activity -> heartbeat details of its running attempt
        self.outbox = base + "outbox"  # stream: messages for other instances and for the dead letters
        self.marks = base + "marks"  # hash: source -> last id delivered from there
        self.open = base + "open"  # set: instances that have not finished
        self.ix = base + "ix"  # zset: instance -> its status and when it was created (see `listing`)
        self.ended = (
            base + "ended"
        )  # zset: finished instance without a parent -> status and when it ended (lua/_index.lua)
        self.updated = base + "updated"  # zset: instance -> when it changed last, once it has
        self.parked = base + "parked"  # zset: quarantined instance -> when it was created
        self.names = base + "names"  # set: names of orchestrators that have, or had, instances here
        self.feed = base + "feed"  # stream, trimmed: executions that ended
        self.cancels = base + "cancels"  # stream, trimmed: calls of activities that were cancelled
        self.canceled = base + "canceled"  # zset, trimmed: call of an activity -> when it was cancelled
        self.unknown = base + "unknown"  # hash: rule, keep_ms, most for events of unknown instances; absent: keep
        self.answers = base + "answers"  # stream that foreign workers XADD to: what became of their tasks

    def queue(self, name: str) -> str:
        """The stream of a task queue; its group is the peek-lock of tasks."""
        return f"{self._base}tasks:{name}"

    def named(self, name: str) -> str:
        """Zset: instance of one orchestrator -> status and when it was created (lua/_index.lua)."""
        return f"{self._base}named:{name}"

    def tag(self, key: str, value: str) -> str:
        """Zset: instances with this tag -> when they were created."""
        return f"{self._base}tag:{len(key)}:{key}:{value}"

    def kids(self, parent: str) -> str:
        """Set: the sub-orchestrations, in this partition, of an instance in any partition."""
        return f"{self._base}kids:{parent}"

    def instance(self, instance: str) -> str:
        """Hash: status s, name n, execution x, its number k, head h, announced-by q, tip t, parked-until p, park count
        z (less than 0: it is held, until somebody redrives it), newest control message y, newest message of a
        parent that was rewound w, unread events b (JSON), created c, updated u, parent o, number of tags g."""
        return f"{self._base}i:{instance}"

    def start(self, instance: str) -> str:
        """String: the start slot, present until the first turn is committed."""
        return f"{self._base}s:{instance}"

    def mailbox(self, instance: str) -> str:
        """Stream: unread messages."""
        return f"{self._base}m:{instance}"

    def kept(self, instance: str) -> str:
        """Zset: ids of the events that wait for an instance that does not exist -> when they came."""
        return f"{self._base}k:{instance}"

    def history(self, instance: str) -> str:
        """List: the events of the current execution."""
        return f"{self._base}h:{instance}"

    def custom_status(self, instance: str) -> str:
        """String: the custom status."""
        return f"{self._base}c:{instance}"

    def quarantine(self, instance: str) -> str:
        """String: why the instance is parked."""
        return f"{self._base}q:{instance}"

    def executions(self, instance: str) -> str:
        """List: the ids of the executions before the current one."""
        return f"{self._base}e:{instance}"

    def past(self, instance: str, execution: str) -> str:
        """List: the events of an execution before the current one."""
        return f"{self._base}x:{len(execution)}:{execution}:{instance}"
