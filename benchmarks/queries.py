"""Many instances: how long a filtered page of 100 takes, and what it costs to keep the indexes that it is read from.

The cost is that of the same starts and the same turns by the same code, once with the scripts as they are and once with
scripts that list nothing; by turns, a hundred instances at a time, so that a busy machine treats both alike. What
counts is processor time: of the server's process and of this one.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import cache
from hashlib import sha1
from pathlib import Path
from statistics import median
from typing import Any

from redis.exceptions import NoScriptError

from benchmarks.bench import Bench
from benchmarks.errors import check
from benchmarks.report import Figures
from redurable.core.delivery import Outgoing
from redurable.core.events import ExecutionCompleted
from redurable.core.messages import StartExecution
from redurable.core.values import Arguments, RuntimeStatus
from redurable.store.port import StartRequest
from redurable.store.queries import Query
from redurable.store.redis.channel import channel_factory
from redurable.store.redis.lane import Argument, Lane
from redurable.store.redis.scripts import Script, load
from redurable.store.redis.store import RedisStore
from redurable.testing.conformance import scenes

NAMES = tuple(f"Orchestrator{number}" for number in range(10))
SLICE = 100
PAGE = 100
PAGES = 30
TURNS = 5
LATELY_MS = 500
LISTING = ("local function enlist(it, now)\n", "local function move(key, at, instance)\n")
RUNNING, COMPLETED, FAILED = RuntimeStatus.RUNNING, RuntimeStatus.COMPLETED, RuntimeStatus.FAILED
QUERIES = {
    "all": Query(),
    "failed": Query(statuses=(FAILED,)),
    "name and status": Query(names=NAMES[:1], statuses=(COMPLETED,)),
    "tag": Query(tags=(("tenant", "7"),)),
    "tag and status": Query(tags=(("tenant", "7"),), statuses=(FAILED,)),
    "prefix": Query(prefix="q-1"),
}


class Unlisted(Lane):
    """Runs the scripts of this release without what they do for queries."""

    async def script(self, name: str, keys: Sequence[str], args: Sequence[Argument]) -> Any:
        script = _unlisted(name)
        ro = "_RO" if script.reads else ""
        try:
            return await self.call(f"EVALSHA{ro}", script.sha, len(keys), *keys, *args)
        except NoScriptError:
            return await self.call(f"EVAL{ro}", script.text, len(keys), *keys, *args)


@cache  # as `load` is: what is compared is the work of the scripts
def _unlisted(name: str) -> Script:
    script = load(name)
    text = script.text
    for function in LISTING:
        text = text.replace(function, f"{function}  do return end\n")
    return Script(sha1(text.encode()).hexdigest(), text, script.reads)


async def run(bench: Bench, notes: dict[str, str]) -> Figures:
    figures = await _cost(bench, notes)
    lane = bench.lane()
    store = RedisStore(lane, "queries", "w1")
    await store.open()
    try:
        await _fill(store, bench.sizes.listed)
        figures["query_page_ms"] = await _pages(store, notes)
        begun = time.perf_counter()
        counts = await store.counts()
        figures["query_counts_ms"] = (time.perf_counter() - begun) * 1000
        check("counts", sum(counts.instances.values()), bench.sizes.listed)
    finally:
        await lane.close()
    notes["query_counts_ms"] = f"{bench.sizes.listed:,} instances, {len(NAMES)} names"
    return figures


async def _fill(store: RedisStore, count: int) -> None:
    """Started, and most of them finished."""
    for first in range(0, count, 500):
        await store.send([_start(n) for n in range(first, min(first + 500, count))])
    while entries := await store.receive(range(store.partitions), 300, 0):
        deliveries = await store.checkout(entries, [None] * len(entries))
        await store.commit(
            [
                scenes.turn(delivery, f"h{delivery.entry.instance}", scenes.raised(), status=_status(at))
                for at, delivery in enumerate(deliveries)
            ]
        )


def _start(number: int) -> Outgoing:
    tags = {"tenant": str(number % 100)}
    return Outgoing(f"q-{number}", _message(f"x{number}", NAMES[number % len(NAMES)], tags))


def _message(execution: str, name: str, tags: dict[str, str]) -> StartExecution:
    return StartExecution(name=name, execution=execution, call=Arguments(), tags=tags)


def _status(at: int) -> RuntimeStatus:
    return RUNNING if at % 10 == 0 else FAILED if at % 10 == 1 else COMPLETED


async def _pages(store: RedisStore, notes: dict[str, str]) -> float:
    """Milliseconds of a page, the median of each query's pages one after the other; of the slowest query."""
    medians: dict[str, float] = {}
    newest = await store.query(Query(), PAGE)
    lately = max(snapshot.updated_at for snapshot in newest.snapshots) - LATELY_MS
    for name, query in {**QUERIES, "changed lately": Query(updated_from=lately)}.items():
        place, taken = None, list[float]()
        for _ in range(PAGES):
            begun = time.perf_counter()
            found = await store.query(query, PAGE, place)
            taken.append((time.perf_counter() - begun) * 1000)
            place = found.place
            check(f"the page of {name}", all(map(query.admits, found.snapshots)), True)
        medians[name] = median(taken)
    notes["query_page_ms"] = ", ".join(f"{name} {taken:.1f}" for name, taken in medians.items())
    return max(medians.values())


async def _cost(bench: Bench, notes: dict[str, str]) -> Figures:
    """Percent more that starts, and the turns of a life, cost with indexes."""
    with_, without = bench.lane(), Unlisted(channel_factory(bench.address))
    stores = [RedisStore(with_, "listed", "w1"), RedisStore(without, "unlisted", "w1")]
    for store in stores:
        await store.open()
    server = await _process_of(with_)
    costs: dict[str, list[list[float]]] = {"start": [[], []], "turn": [[], []]}
    for first in range(0, bench.sizes.lives, SLICE):
        for at, store in enumerate(stores):
            costs["start"][at].append(await _measured(server, _starts(store, first)))
            costs["turn"][at].append(await _measured(server, _lives(store)))
    await with_.close()
    await without.close()
    figures: Figures = {}
    for what, (listed, unlisted) in costs.items():
        more, less = median(listed), median(unlisted)
        figures[f"index_{what}_percent"] = max((more / less - 1) * 100, 0.01)
        each, unlisted_each = more / SLICE * 1e6, less / SLICE * 1e6
        notes[f"index_{what}_percent"] = f"{each:.0f} us of processor time, {unlisted_each:.0f} without"
    return figures


async def _starts(store: RedisStore, first: int) -> None:
    for number in range(first, first + SLICE):
        message = _message(f"x{number}", NAMES[number % len(NAMES)], {})
        await store.start(StartRequest(f"l-{number}", message))


async def _lives(store: RedisStore) -> None:
    """Some turns of each, from Pending to Completed."""
    for number in range(TURNS):
        entries = await store.receive(range(store.partitions), SLICE, 0)
        deliveries = await store.checkout(entries, [None] * len(entries))
        last = number == TURNS - 1
        turns = [
            scenes.turn(
                delivery,
                f"h{number}-{delivery.entry.instance}",
                ExecutionCompleted(at=2) if last else scenes.raised(),
                status=COMPLETED if last else RUNNING,
            )
            for delivery in deliveries
        ]
        await store.commit(turns)
        if not last:
            await store.send([Outgoing(entry.instance, scenes.event()) for entry in entries])


async def _process_of(lane: Lane) -> Path:
    info: bytes = await lane.call("INFO", "server")
    number = info.partition(b"process_id:")[2].split(b"\r")[0].decode()
    return Path("/proc") / number / "schedstat"


async def _measured(server: Path, work: Any) -> float:
    """Seconds of processor time, of the server's main thread and of this process."""
    begun = time.process_time() + _seconds(server)
    await work
    return time.process_time() + _seconds(server) - begun


def _seconds(schedstat: Path) -> float:
    return int(schedstat.read_text().split()[0]) / 1e9
