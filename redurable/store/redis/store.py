"""`RedisStore`: every verb of the port, each in a module of its own family. Nothing is decided here."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from typing import TypeVar

from redis.exceptions import ResponseError

from redurable.core.completion import Completion
from redurable.core.delivery import Delivery, Entry, Outgoing, Position, TurnCommit
from redurable.core.events import Event
from redurable.core.values import RuntimeStatus
from redurable.errors import StoreDamaged
from redurable.facts import StoreSampled
from redurable.settings import MAX_PAYLOAD_BYTES
from redurable.store import port
from redurable.store.depths import Depths
from redurable.store.hearing import Answered, Heard
from redurable.store.inspect import Announcement, Change, Snapshot, Underway
from redurable.store.letters import Letter
from redurable.store.membership import Membership, Skills
from redurable.store.port import TaskDemand, TaskEnd, TaskLease
from redurable.store.purging import Purged
from redurable.store.queries import Counts, Found, Place, Query, Standing
from redurable.store.redis import admission, cancels, handover, hubs, leases, retention, turns, upkeep
from redurable.store.redis import answers as _answers
from redurable.store.redis import commits as _commits
from redurable.store.redis import depths as _depths
from redurable.store.redis import ends as _ends
from redurable.store.redis import inspect as _inspect
from redurable.store.redis import letters as _letters
from redurable.store.redis import queries as _queries
from redurable.store.redis import relay as _relay
from redurable.store.redis import tasks as _tasks
from redurable.store.redis import timers as _timers
from redurable.store.redis import tokens as _tokens
from redurable.store.redis.channel import ChannelFactory, channel_factory
from redurable.store.redis.lane import BeforeConnect, Lane
from redurable.store.redis.layout import Layout
from redurable.store.redis.sweep import Sweep
from redurable.store.redriving import Redriven
from redurable.store.routing import Relayed, Routed
from redurable.store.unknown import UnknownInstance

T = TypeVar("T")


class RedisStore:
    """A hub on one Redis or Valkey server. `open` before use, `close` after; belongs to one event loop.

    `connect` makes connections, or is the lane to use. `consumer` is this process's stable name in the consumer groups;
    who only starts, sends and reads needs none. `partitions` counts for a new hub; an existing one keeps its own.
    What foreign clients write has payloads of at most `max_payload` bytes.
    """

    def __init__(
        self,
        connect: ChannelFactory | Lane,
        hub: str,
        consumer: str = "",
        partitions: int = 16,
        max_payload: int = MAX_PAYLOAD_BYTES,
    ) -> None:
        self.lane = connect if isinstance(connect, Lane) else Lane(connect)
        self.hub = hub
        self.consumer = consumer
        self.partitions = partitions
        self.layout = Layout(hub, partitions, max_payload)
        self._sweep = Sweep(self.lane)

    async def open(self, create: bool = True) -> bool:
        """Join the hub, or create it; unless `create`, False says that there is none."""
        try:
            await self.lane.open()
            joined = await hubs.open_hub(self.lane, self.layout, create)
        except BaseException:
            await self.lane.close()
            raise
        if joined is None:
            return False
        self.layout, self.partitions = joined, joined.partitions
        await self._sweep.close()  # it may have been another hub, and begins anew
        self._sweep = Sweep(self.lane)
        return True

    async def close(self) -> None:
        """Let go of all connections."""
        await self._sweep.close()
        await self.lane.close()

    async def set_unknown(self, rule: UnknownInstance) -> None:
        """What becomes of events for instances that do not exist."""
        await _answer(admission.set_unknown(self.lane, self.layout, self.consumer, rule))

    async def start(self, request: port.StartRequest) -> port.StartOutcome:
        """Create an instance with its start message and announce it."""
        return await _answer(admission.start(self.lane, self.layout, self.consumer, request))

    async def send(self, messages: Sequence[Outgoing]) -> list[port.SendOutcome]:
        """Append messages to mailboxes and announce their instances."""
        return await _answer(admission.send(self.lane, self.layout, self.consumer, messages))

    async def receive(self, partitions: Sequence[int], count: int, block_ms: int) -> list[Entry]:
        """Take ready entries of these partitions."""
        return await _answer(turns.receive(self.lane, self.layout, self.consumer, partitions, count, block_ms))

    async def recover(self) -> port.Reclaimed:
        """All that this consumer holds according to the store."""
        return await _answer(leases.recover(self.lane, self.layout, self.consumer))

    async def checkout(self, entries: Sequence[Entry], known: Sequence[Position | None]) -> list[Delivery]:
        """Read what a turn of each entry needs."""
        return await _answer(turns.checkout(self.lane, self.layout, self.consumer, entries, known))

    async def commit(self, commits: Sequence[TurnCommit], demand: TaskDemand | None = None) -> port.Committed:
        """Make turns true, each all or nothing."""
        return await _answer(_commits.commit(self.lane, self.layout, self.consumer, commits, demand))

    async def receive_tasks(self, demand: TaskDemand, block_ms: int) -> list[TaskLease]:
        """Take tasks."""
        return await _answer(_tasks.receive_tasks(self.lane, self.layout, self.consumer, demand, block_ms))

    async def complete(
        self,
        ends: Sequence[TaskEnd],
        known: Sequence[Position | None],
        count: int = 0,
        partitions: Sequence[int] = (),
        demand: TaskDemand | None = None,
    ) -> port.Completed:
        """End attempts; then receive ready entries and tasks in the same step."""
        wanted = count, partitions, demand
        return await _answer(_ends.complete(self.lane, self.layout, self.consumer, ends, known, *wanted))

    async def settle(self, said: Completion) -> bool:
        """Do what is said of an attempt by token."""
        return await _answer(_tokens.settle(self.lane, self.layout, self.consumer, said))

    async def hand_back(self, entries: Sequence[Entry], tasks: Sequence[TaskLease]) -> None:
        """Give up what was received but not begun."""
        await turns.hand_back(self.lane, self.layout, self.consumer, entries, tasks)

    async def hand_over(self, entries: Sequence[Entry], consumer: str) -> None:
        """Make entries of this consumer another's."""
        await _answer(handover.hand_over(self.lane, self.layout, self.consumer, entries, consumer))

    async def receive_handed(self, block_ms: int) -> list[Entry]:
        """Entries that others handed over to this consumer."""
        return await _answer(handover.receive_handed(self.lane, self.layout, self.consumer, block_ms))

    async def renew(self, entries: Sequence[Entry], tasks: Sequence[TaskLease]) -> port.Lost:
        """Renew the leases that the caller still holds."""
        return await _answer(leases.renew(self.lane, self.layout, self.consumer, entries, tasks))

    async def canceled(self, after: dict[int, str], block_ms: int) -> list[tuple[int, port.CanceledCalls]]:
        """News of cancelled calls."""
        return await _answer(cancels.canceled(self.lane, self.layout, after, block_ms))

    async def reclaim(
        self, partitions: Sequence[int], entries: int, entry_lease_ms: int, demand: TaskDemand, task_lease_ms: int
    ) -> port.Reclaimed:
        """Take over entries and tasks whose lease ran out."""
        limits = entries, entry_lease_ms, demand, task_lease_ms
        return await _answer(leases.reclaim(self.lane, self.layout, self.consumer, partitions, *limits))

    async def steal(self, partitions: Sequence[int], count: int, waited_ms: int) -> list[Entry]:
        """Take ready entries of partitions that others prefer."""
        return await _answer(leases.steal(self.lane, self.layout, self.consumer, partitions, count, waited_ms))

    async def upcoming(self, partitions: Sequence[int], horizon_ms: int, count: int) -> port.Upcoming:
        """The timers of these partitions that are due soon."""
        return await _answer(_timers.upcoming(self.lane, self.layout, self.consumer, partitions, horizon_ms, count))

    async def fire(self, timers: Sequence[port.DueTimer]) -> port.Fired:
        """Deliver timers that are due."""
        return await _answer(_timers.fire(self.lane, self.layout, self.consumer, timers))

    async def relay(self, partition: int, count: int) -> Relayed:
        """Deliver a prefix of a partition's outbox."""
        return await _answer(_relay.relay(self.lane, self.layout, self.consumer, partition, count))

    async def route(self, count: int, block_ms: int) -> Routed:
        """Deliver a prefix of the hub's intake."""
        return await _answer(_relay.route(self.lane, self.layout, self.consumer, count, block_ms))

    async def hear(self, partitions: Sequence[int], count: int, block_ms: int) -> Heard:
        """Read what foreign workers answered."""
        return await _answer(_answers.hear(self.lane, self.layout, self.consumer, partitions, count, block_ms))

    async def forget(self, heard: Sequence[Answered]) -> None:
        """Delete answers that were dealt with."""
        await _answer(_answers.forget(self.lane, self.layout, self.consumer, heard))

    async def served(self) -> tuple[str, ...]:
        """The task queues that foreign workers say they serve."""
        return await _answer(_answers.served(self.lane, self.layout, self.consumer))

    async def sweep(self, partition: int, cursor: str, count: int) -> tuple[str, int]:
        """Announce waiting instances that have mail nobody was told of."""
        return await _answer(self._sweep.walk(self.layout, partition, cursor, count))

    async def heartbeat(self, ttl_ms: int, skills: Skills) -> Membership:
        """Say that this consumer lives, and what it can do; return who does."""
        return await _answer(upkeep.heartbeat(self.lane, self.layout, self.consumer, ttl_ms, skills))

    async def leave(self) -> None:
        """Take this consumer out of the membership and the consumer groups."""
        await upkeep.leave(self.lane, self.layout, self.consumer)

    async def reap(self, idle_ms: int) -> int:
        """Remove consumers that hold nothing and were not seen for `idle_ms`."""
        return await _answer(upkeep.reap(self.lane, self.layout, self.consumer, idle_ms))

    async def purge(self, instance: str, execution: str = "") -> Purged:
        """Delete all that is stored of a finished instance."""
        return await _answer(upkeep.purge(self.lane, self.layout, self.consumer, instance, execution))

    async def expired(
        self, partition: int, ages: Mapping[RuntimeStatus, int], count: int, skip: int = 0
    ) -> list[Standing]:
        """Instances that finished too long ago."""
        return await _answer(retention.expired(self.lane, self.layout, self.consumer, partition, ages, count, skip))

    async def disown(self, instance: str, parent: str) -> None:
        """A sub-orchestration is on its own from now on."""
        await _answer(retention.disown(self.lane, self.layout, self.consumer, instance, parent))

    async def mend(self, partition: int, cursor: str, count: int) -> tuple[str, int]:
        """Put right what queries, counts and `expired` go by."""
        return await _answer(retention.mend(self.lane, self.layout, self.consumer, partition, cursor, count))

    async def prune(self, instance: str, keep: int) -> int:
        """Forget past executions of an instance."""
        return await _answer(upkeep.prune(self.lane, self.layout, self.consumer, instance, keep))

    async def redrive(self, instance: str, head: str) -> Redriven:
        """Let a quarantined instance be tried at once."""
        return await _answer(upkeep.redrive(self.lane, self.layout, self.consumer, instance, head))

    async def get(self, instance: str) -> Snapshot | None:
        """The instance as it is now."""
        return await _answer(_inspect.get(self.lane, self.layout, self.consumer, instance))

    async def query(self, query: Query, limit: int, after: Place | None = None) -> Found:
        """A page of the instances that are asked for."""
        return await _answer(_queries.query(self.lane, self.layout, self.consumer, query, limit, after))

    async def counts(self) -> Counts:
        """How many instances there are."""
        return await _answer(_queries.counts(self.lane, self.layout, self.consumer))

    async def children(self, instance: str) -> list[Standing]:
        """The sub-orchestrations of an instance."""
        return await _answer(_queries.children(self.lane, self.layout, self.consumer, instance))

    async def awaited(self, instances: Sequence[str]) -> list[str]:
        """Those that have not read yet what a parent has asked of them."""
        return await _answer(_queries.awaited(self.lane, self.layout, self.consumer, instances))

    async def history(self, instance: str, execution: str = "", start: int = 0, count: int = 1000) -> list[Event]:
        """A page of the history of an execution."""
        return await _answer(_inspect.history(self.lane, self.layout, self.consumer, instance, execution, start, count))

    async def underway(self, instance: str, execution: str, calls: Sequence[tuple[int, str]]) -> list[Underway | None]:
        """Of each call, what there is."""
        return await _answer(_tokens.underway(self.lane, self.layout, self.consumer, instance, execution, calls))

    async def executions(self, instance: str) -> list[str]:
        """The ids of all executions, oldest first."""
        return await _answer(_inspect.executions(self.lane, self.layout, self.consumer, instance))

    async def feed_position(self, partition: int) -> str:
        """The id of the newest entry of the feed."""
        return await _answer(_inspect.feed_position(self.lane, self.layout, self.consumer, partition))

    async def feed(self, after: dict[int, str], block_ms: int) -> list[tuple[int, Change]]:
        """Entries of these partitions' feeds after these ids."""
        return await _answer(_inspect.feed(self.lane, self.layout, self.consumer, after, block_ms))

    async def depths(self, queues: Sequence[str] = ()) -> Depths:
        """How much work lies where."""
        return await _answer(_depths.depths(self.lane, self.layout, self.consumer, queues))

    async def announcement(self, instance: str) -> Announcement | None:
        """Who is told of the instance's mail."""
        return await _answer(_inspect.announcement(self.lane, self.layout, self.consumer, instance))

    async def members(self, ttl_ms: int) -> Membership:
        """The workers that live."""
        return await _answer(upkeep.members(self.lane, self.layout, self.consumer, ttl_ms))

    async def letters(self, after: str, count: int) -> list[Letter]:
        """Dead letters behind that id, the oldest first."""
        return await _answer(_letters.letters(self.lane, self.layout, self.consumer, after, count))

    async def drop_letters(self, ids: Sequence[str]) -> int:
        """Delete dead letters."""
        return await _answer(_letters.drop_letters(self.lane, self.layout, self.consumer, ids))

    async def redrive_letters(self, ids: Sequence[str]) -> list[str]:
        """Put dead letters back into the intake."""
        return await _answer(_letters.redrive_letters(self.lane, self.layout, self.consumer, ids))

    def sample(self) -> StoreSampled:
        """What the connections did since the last call."""
        return self.lane.sample()

    def mailbox_key(self, instance: str) -> str:
        """The name of the stream that is the instance's mailbox."""
        return self.layout.of(instance).mailbox(instance)


async def _answer(verb: Awaitable[T]) -> T:
    """What a verb answers. That a command fails on what is stored is not the business of who called the verb."""
    try:
        return await verb
    except ResponseError as error:
        raise StoreDamaged(f"the server could not work on what is stored: {error}") from error


def redis_store(
    url: str,
    hub: str,
    *,
    consumer: str = "",
    partitions: int = 16,
    max_payload: int = MAX_PAYLOAD_BYTES,
    before_connect: BeforeConnect | None = None,
) -> RedisStore:
    """A store at `redis://`, `rediss://` or `unix://`; `before_connect` runs before every new connection."""
    return RedisStore(Lane(channel_factory(url), before_connect), hub, consumer, partitions, max_payload)
