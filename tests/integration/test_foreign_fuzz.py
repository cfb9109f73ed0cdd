"""Whatever bytes a foreign client writes into the streams of a hub, its workers go on, and nothing of it vanishes."""

from __future__ import annotations

import asyncio
from typing import Any, Literal
from uuid import uuid4

import anyio
import msgspec
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from redurable import App, Client, OrchestrationContext, RetryPolicy, Worker
from redurable.core.codec import Unreadable, decode_task
from redurable.core.foreign import Intake, read_answer, read_intake, read_mail
from redurable.core.messages import Malformed, Terminate
from redurable.settings import WorkerSettings
from redurable.store.redis.store import RedisStore, redis_store
from redurable.store.redis.turns import instance_of
from tests.properties.bounds import THOROUGH, tried
from tests.support.redis_state import entries_in, living_in
from tests.support.servers import Server

pytestmark = pytest.mark.timeout(0 if THOROUGH else 120)

SECONDS = 10.0
PARTITIONS = 2
MARK = b"#"
"""A field of every entry, by which its dead letter is found."""
TARGET = living_in(0, "target", PARTITIONS)

app = App("fuzz", default_retry=RetryPolicy(max_attempts=1))


@app.activity
async def greet(name: str) -> str:
    return f"Hello {name}"


@app.orchestrator
async def hello(ctx: OrchestrationContext, name: str) -> str:
    await asyncio.sleep(0.001)
    return await ctx.call_activity(greet, name)


@app.orchestrator
async def listen(ctx: OrchestrationContext) -> object:
    return await ctx.wait_for_external_event("The end")


QUICK = WorkerSettings(
    sweep_every_ms=20, poll_block_ms=50, reclaim_every_ms=100, park_min_ms=5_000, timer_horizon_ms=100, lanes=1
)

Fields = dict[bytes, bytes]
Place = Literal["intake", "mailbox", "ready", "tasks", "answers"]

_words = ["event", "data", "id", "m", "terminate", "suspend", "resume", "instance", "start", "input", "args", "kwargs"]
_words += ["complete", "fail", "heartbeat", "refuse", "queue", "worker"]
_names = st.sampled_from([word.encode() for word in [*_words, "i", "t", "o", "reason", "at", "position", "dead", "d"]])
_values = st.one_of(
    st.binary(max_size=12),
    st.sampled_from([b"hello", b"one", b"1", b"{", b"[]", b'"\xff"', b'{"type":"Task"}', b'{"type":"RaiseEvent"}']),
    st.text(max_size=6).map(lambda text: text.encode(errors="replace")),
)
_fields = st.dictionaries((_names | st.binary(max_size=6)).filter(lambda name: name != MARK), _values, max_size=5)
_places: st.SearchStrategy[Place] = st.sampled_from(["intake", "mailbox", "ready", "tasks", "answers"])
entries = st.lists(st.tuples(_places, _fields), min_size=20, max_size=60)


@tried(7)
@given(entries)
def test_nothing_that_is_written_stops_a_worker_or_vanishes(
    server: Server, written: list[tuple[Place, Fields]]
) -> None:
    marked: list[tuple[Place, Fields]] = []
    for number, (place, fields) in enumerate(written):
        marked.append((place, {**fields, MARK: b"%d" % number}))
    # Where the target is over, nobody reads its mailbox any more.
    assume(not any(place == "mailbox" and isinstance(read_mail(fields), Terminate) for place, fields in marked))
    anyio.run(_live_through, server, marked)


async def _live_through(server: Server, marked: list[tuple[Place, Fields]]) -> None:
    hub = f"fuzz-{uuid4().hex[:12]}"
    store = redis_store(server.url, hub, partitions=PARTITIONS)
    await store.open()
    async with Client.from_store(store) as client:
        await client.start(listen, instance_id=TARGET)
        for place, fields in marked[::2]:
            await _write(store, place, fields)
        async with Worker(app, server.url, hub=hub, settings=QUICK) as worker:
            task = asyncio.get_running_loop().create_task(worker.run())
            for place, fields in marked[1::2]:
                await _write(store, place, fields)
            await _check(store, client, marked)
            worker.stop()
            await task
    await store.close()


async def _check(store: RedisStore, client: Client, marked: list[tuple[Place, Fields]]) -> None:
    for partition in range(PARTITIONS):
        instance = living_in(partition, uuid4().hex, PARTITIONS)
        assert await (await client.start(hello, "Ada", instance_id=instance)).result(timeout=SECONDS) == "Hello Ada"
    wanted = {fields[MARK]: fields for place, fields in marked if _is_malformed(place, fields)}
    letters: dict[bytes, Fields] = {}
    with anyio.fail_after(SECONDS):
        while not wanted.keys() <= letters.keys():
            found = [_whole(letter) for _, letter in await entries_in(store, store.layout.hub.dead)]
            letters = {letter[MARK]: letter for letter in found}
            assert len(letters) == len(found), "a dead letter came twice"
    for mark, fields in wanted.items():
        assert letters[mark].items() >= fields.items()
    assert (await client.get_status(TARGET)).runtime_status in ("Pending", "Running", "Suspended")


def _is_malformed(place: Place, fields: Fields) -> bool:
    match place:
        case "intake":
            return not isinstance(read_intake("1-0", fields), Intake)
        case "mailbox":
            return isinstance(read_mail(fields), Malformed)
        case "ready":
            return instance_of([part for pair in fields.items() for part in pair]) is None
        case "answers":
            return isinstance(read_answer(fields), Malformed)
        case "tasks":
            try:
                decode_task(fields.get(b"t", b""))
            except Unreadable:
                return True
            return False


def _whole(letter: Fields) -> Fields:
    """A dead letter with all the fields of what it is about."""
    covered: Any = msgspec.msgpack.decode(letter[b"o"]) if b"o" in letter else []
    return {**letter, **dict(covered)}


async def _write(store: RedisStore, place: Place, fields: Fields) -> None:
    keys = store.layout.partition(1)
    key = {
        "intake": store.layout.hub.intake,
        "mailbox": store.mailbox_key(TARGET),
        "ready": keys.ready,
        "answers": keys.answers,
        "tasks": keys.queue("default"),
    }[place]
    await store.lane.call("XADD", key, "*", *(part for pair in fields.items() for part in pair))
