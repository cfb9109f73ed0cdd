"""The floor: what Redis and Python cost per turn under the design's rules, with no engine around them.

The same commands on the same keys as the engine's (see `floor_scripts`), 16 partitions, batches of 100, three lanes;
a commit receives tasks and a completion receives ready entries in the same step. What it leaves out is what the
engine adds: the deterministic loop, typed events and payloads, histories that are compared, leases, timers, errors,
and a load client in another process (here instances are started 200 at a time). It runs in this process, on the same
server and in the same run as the workloads that are measured against it. The client is redis-py's.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from binascii import crc32
from collections import deque
from collections.abc import Coroutine, Generator, Sequence
from typing import Any

import orjson
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from benchmarks import floor_scripts
from benchmarks.app import CITIES
from benchmarks.bench import Bench
from benchmarks.errors import check
from benchmarks.report import Figures
from redurable.settings import DEFAULT_PARTITIONS
from redurable.store.redis.keys import PartitionKeys

LANES = 3
BATCH = 100
STARTS = 200
BLOCK_MS = 500
DATABASE = 1
EXECUTION = b"0123456789abcdef0123456789abcdef"

Code = Coroutine[Any, Any, Any]
Entry = tuple[bytes, bytes]
"""Id of the ready entry, instance."""


class Step:
    """Awaiting it asks for an activity."""

    __slots__ = ("argument", "name")

    def __init__(self, name: str, argument: Any) -> None:
        self.name = name
        self.argument = argument

    def __await__(self) -> Generator[Step, Any, Any]:
        return (yield self)


async def hello() -> list[str]:
    return [await Step("greet", city) for city in CITIES]


async def chain(length: int) -> int:
    number = 0
    for _ in range(length):
        number = await Step("successor", number)
    return number


def act(name: str, argument: Any) -> Any:
    return f"Hello {argument}!" if name == "greet" else argument + 1


class Instance:
    """What is cached of an instance: its keys, its code, how long its history is."""

    __slots__ = ("code", "feed", "history", "id", "key", "length", "mailbox", "open", "queue", "ready", "seq", "start")

    def __init__(self, instance: bytes, partitions: Sequence[PartitionKeys], code: Code) -> None:
        name = instance.decode()
        keys = partitions[crc32(instance) % len(partitions)]
        self.id = instance
        self.code = code
        self.length = 0
        self.seq = 0
        self.ready, self.queue, self.open, self.feed = keys.ready, keys.queue("default"), keys.open, keys.feed
        self.key, self.start = keys.instance(name), keys.start(name)
        self.mailbox, self.history = keys.mailbox(name), keys.history(name)


class Floor:
    """Runs `codes` to their ends, each of which must return `expected`."""

    def __init__(self, client: Any, codes: Sequence[Code], expected: object) -> None:
        self._client = client
        self._expected = expected
        self._partitions = [PartitionKeys("floor", number) for number in range(DEFAULT_PARTITIONS)]
        self._readies = [keys.ready for keys in self._partitions]
        self._queues = [keys.queue("default") for keys in self._partitions]
        named = ((b"floor-%d" % number, code) for number, code in enumerate(codes))
        self._instances = {name: Instance(name, self._partitions, code) for name, code in named}
        self._left = len(codes)
        self._ends: deque[tuple[bytes, Instance, bytes]] = deque()
        self._ended = asyncio.Event()
        self._done = asyncio.Event()
        self._heads = itertools.count()
        self._sha: dict[str, bytes] = {}

    async def run(self, limit_seconds: float) -> float:
        """Seconds from the first start to the last end."""
        for name in ("START", "RECEIVE", "CHECKOUT", "COMMIT", "COMPLETE"):
            self._sha[name] = await self._client.execute_command("SCRIPT", "LOAD", getattr(floor_scripts, name))
        for stream in (*self._readies, *self._queues):
            await self._client.execute_command("XGROUP", "CREATE", stream, "w", "0", "MKSTREAM")
        begin = time.perf_counter()
        async with asyncio.timeout(limit_seconds), asyncio.TaskGroup() as group:
            for _ in range(LANES):
                group.create_task(self._turn_lane())
                group.create_task(self._end_lane())
            await self._start_all()
            await self._done.wait()
            seconds = time.perf_counter() - begin
            self._ended.set()
        return seconds

    async def _script(self, name: str, keys: Sequence[str], args: Sequence[Any]) -> Any:
        return await self._client.execute_command("EVALSHA", self._sha[name], len(keys), *keys, *args)

    async def _start_all(self) -> None:
        instances = list(self._instances.values())
        for at in range(0, len(instances), STARTS):
            keys: list[str] = []
            args: list[Any] = [_now()]
            for instance in instances[at : at + STARTS]:
                keys += (instance.ready, instance.key, instance.start, instance.mailbox, instance.open)
                message = {"type": "StartExecution", "execution": EXECUTION.decode(), "name": "hello_sequence"}
                args += (instance.id, EXECUTION, orjson.dumps(message))
            await self._script("START", keys, args)

    # -- orchestrations

    async def _turn_lane(self) -> None:
        while not self._done.is_set():
            entries = await self._script("RECEIVE", self._readies, ["w1", BATCH])
            await self._turns([(entry[0], entry[1][1]) for entry in entries] or await self._wait())

    async def _wait(self) -> list[Entry]:
        command = ["XREADGROUP", "GROUP", "w", "w1", "COUNT", BATCH // len(self._readies), "BLOCK", BLOCK_MS, "STREAMS"]
        reply = await self._client.execute_command(*command, *self._readies, *[">"] * len(self._readies))
        return [(entry_id, fields[b"i"]) for _, entries in reply or () for entry_id, fields in entries]

    async def _turns(self, entries: Sequence[Entry]) -> None:
        if not entries:
            return
        keys: list[str] = []
        lengths: list[int] = []
        for _, name in entries:
            instance = self._instances[name]
            keys += (instance.key, instance.start, instance.mailbox, instance.history)
            lengths.append(instance.length)
        rows = await self._script("CHECKOUT", keys, lengths)
        await self._commit(list(zip(entries, rows, strict=True)))

    async def _commit(self, checked: Sequence[tuple[Entry, list[Any]]]) -> None:
        keys: list[str] = []
        args: list[Any] = [len(checked), "w1", BATCH, _now()]
        queues: dict[str, None] = {}
        for (entry_id, name), row in checked:
            instance = self._instances[name]
            queues[instance.queue] = None
            keys += (instance.key, instance.start, instance.mailbox, instance.history)
            keys += (instance.ready, instance.queue, instance.open, instance.feed)
            self._take_turn(instance, entry_id, row, args)
        self._begin(await self._script("COMMIT", [*keys, *queues], args))

    def _take_turn(self, instance: Instance, entry_id: bytes, row: list[Any], args: list[Any]) -> None:
        head, mails, slot, _ = row
        events: list[bytes] = []
        tasks: list[bytes] = []
        after, finished = b"", 0
        inputs = [slot] if slot else [flat[1] for _, flat in mails]
        if mails and not slot:
            ms, _, seq = mails[-1][0].partition(b"-")
            after = b"%b-%d" % (ms, int(seq) + 1)
        for body in inputs:
            message = orjson.loads(body)
            events.append(orjson.dumps({**message, "type": message["type"] + "d", "at": 1_760_000_000_000}))
            try:
                step = instance.code.send(message.get("result"))
            except StopIteration as stop:
                check("the floor", stop.value, self._expected)
                events.append(
                    orjson.dumps({"type": "ExecutionCompleted", "at": 1_760_000_000_000, "result": stop.value})
                )
                finished = 1
            else:
                tasks.append(self._schedule(instance, step, events))
        instance.length += len(events)
        new_head = b"f%d" % next(self._heads)
        args += (entry_id, head, new_head, instance.id, after, EXECUTION, finished)
        args += (len(events), *events, len(tasks), *tasks)
        if finished:
            self._left -= 1

    def _schedule(self, instance: Instance, step: Step, events: list[bytes]) -> bytes:
        instance.seq += 1
        call = {"seq": instance.seq, "name": step.name, "call": {"args": [step.argument]}}
        events.append(orjson.dumps({"type": "ActivityScheduled", "at": 1_760_000_000_000, **call}))
        return orjson.dumps({"type": "Task", "instance": instance.id.decode(), "execution": EXECUTION.decode(), **call})

    # -- activities

    def _begin(self, tasks: list[Any]) -> None:
        for task_id, flat in tasks:
            task = orjson.loads(flat[1])
            result = act(task["name"], task["call"]["args"][0])
            message = {"type": "ActivityResult", "execution": task["execution"], "seq": task["seq"], "result": result}
            self._ends.append((task_id, self._instances[task["instance"].encode()], orjson.dumps(message)))
        if tasks:
            self._ended.set()
        if not self._left:
            self._done.set()

    async def _end_lane(self) -> None:
        while not self._done.is_set():
            if not self._ends:
                self._ended.clear()
                await self._ended.wait()
                continue
            batch = [self._ends.popleft() for _ in range(min(BATCH, len(self._ends)))]
            keys: list[str] = []
            args: list[Any] = [len(batch), "w1", BATCH]
            for task_id, instance, message in batch:
                keys += (
                    instance.queue,
                    instance.ready,
                    instance.key,
                    instance.start,
                    instance.mailbox,
                    instance.history,
                )
                args += (task_id, instance.id, message, instance.length)
            checked, others = await self._script("COMPLETE", [*keys, *self._readies], args)
            if checked:
                await self._commit([((entry[0], entry[1][1]), row) for entry, row in checked])
            await self._turns([(entry[0], entry[1][1]) for entry in others])


async def run_hello(bench: Bench, notes: dict[str, str]) -> Figures:
    count = bench.sizes.hello
    seconds = await _seconds(bench, [hello() for _ in range(count)], [f"Hello {city}!" for city in CITIES])
    notes["floor_hello_per_s"] = f"{count:,} in {seconds:.2f} s"
    return {"floor_hello_per_s": count / seconds}


async def chain_rate(bench: Bench) -> float:
    """Activities a second of one chain."""
    length = bench.sizes.chain
    return length / await _seconds(bench, [chain(length)], length)


async def _seconds(bench: Bench, codes: Sequence[Code], expected: object) -> float:
    """In a database of its own, which is left empty."""
    client: Any = Redis(unix_socket_path=str(bench.socket), db=DATABASE, protocol=2, retry=Retry(NoBackoff(), 0))
    async with client:
        seconds = await Floor(client, codes, expected).run(bench.sizes.limit_seconds)
        await client.flushdb()
    return seconds


def _now() -> int:
    return round(time.time() * 1000)
