"""The lane on real servers: scripts that were forgotten, connections that die, servers that refuse."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from redis.exceptions import ResponseError

from redurable.core.delivery import Outgoing
from redurable.errors import StoreFull, StoreRefused, StoreUnavailable
from redurable.store.port import SendOutcome, StartOutcome
from redurable.store.redis import lane as lane_module
from redurable.store.redis.channel import channel_factory
from redurable.store.redis.lane import Lane
from redurable.store.redis.scripts import load, names
from redurable.store.redis.store import RedisStore, redis_store
from redurable.testing.conformance import scenes
from tests.support.servers import Server


@pytest.fixture
async def lane(server: Server) -> AsyncIterator[Lane]:
    opened = Lane(channel_factory(server.url))
    await opened.open()
    yield opened
    await opened.close()


def test_every_script_says_what_it_takes() -> None:
    assert {"start", "send", "checkout", "commit", "complete", "take", "hand_back"} <= set(names())
    assert len({load(name).sha for name in names()}) == len(names())


async def test_a_server_that_forgot_its_scripts_learns_them_again(store: RedisStore, foreign: Lane) -> None:
    await scenes.begin(store, "before")
    await foreign.call("SCRIPT", "FLUSH")
    assert await store.start(scenes.request("after")) is StartOutcome.STARTED
    assert (await scenes.take(store)).entry.instance == "after"


async def test_replies_are_raw(lane: Lane) -> None:
    assert await lane.call("HGETALL", "nothing") == []
    assert await lane.call("GET", "nothing") is None
    with pytest.raises(ResponseError, match="unknown command"):
        await lane.call("NONSENSE")
    assert await lane.call("PING") == b"PONG"


async def test_idle_connections_that_the_server_closed_are_not_used(lane: Lane, foreign: Lane) -> None:
    await asyncio.gather(*(lane.call("PING") for _ in range(5)))
    assert await foreign.call("CLIENT", "KILL", "TYPE", "normal") == 5
    for _ in range(5):
        assert await lane.call("ECHO", "x") == b"x"


async def test_a_connection_that_dies_under_a_call_is_an_unknown_outcome(lane: Lane, foreign: Lane) -> None:
    waiting = asyncio.create_task(lane.block(20_000, "BLPOP", "never", 20))
    await _blocked(foreign, 1)
    await foreign.call("CLIENT", "KILL", "TYPE", "normal")
    with pytest.raises(StoreUnavailable):
        await waiting
    assert await lane.call("PING") == b"PONG"


async def test_a_cancelled_call_takes_its_connection_with_it(lane: Lane, foreign: Lane) -> None:
    waiting = asyncio.create_task(lane.block(20_000, "BLPOP", "list", 20))
    await _blocked(foreign, 1)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    await _blocked(foreign, 0)
    assert [await lane.call("ECHO", str(n)) for n in range(3)] == [b"0", b"1", b"2"]


async def test_a_silent_server_is_not_waited_for(lane: Lane, foreign: Lane, monkeypatch: pytest.MonkeyPatch) -> None:
    await foreign.call("CLIENT", "PAUSE", 10_000, "WRITE")
    with monkeypatch.context() as patch:
        patch.setattr(lane_module, "CALL_TIMEOUT_S", 0.05)
        with pytest.raises(StoreUnavailable, match=r"no answer to 'DEL' within 0\.05 s"):
            await lane.call("DEL", "nothing")
    await foreign.call("CLIENT", "UNPAUSE")
    assert await lane.call("ECHO", "later") == b"later"


async def test_a_killed_server_comes_back(own_server: Server) -> None:
    store = redis_store(own_server.url, "h", consumer="w1", partitions=2)
    await store.open()
    await store.start(scenes.request())
    own_server.kill()
    with pytest.raises(StoreUnavailable):
        await scenes.receive(store)
    own_server.run()
    assert (await scenes.take(store)).entry.instance == "one"
    await store.close()


async def test_before_connect_runs_before_every_new_connection(server: Server) -> None:
    prepared: list[str] = []

    async def prepare() -> None:
        prepared.append("now")

    lane = Lane(channel_factory(server.url), prepare)
    await asyncio.gather(lane.call("PING"), lane.call("PING"))
    await lane.call("PING")
    await lane.close()
    assert prepared == ["now", "now"]


async def test_a_full_server_admits_nothing_and_lets_work_drain(own_server: Server) -> None:
    store = redis_store(own_server.url, "h", consumer="w1", partitions=2)
    await store.open()
    delivery = await scenes.begin(store)
    await store.lane.call("CONFIG", "SET", "maxmemory", 1)
    with pytest.raises(StoreFull, match="raise its maxmemory"):
        await store.start(scenes.request("two"))
    with pytest.raises(StoreFull, match="OOM"):
        await store.send([Outgoing("one", scenes.event()), Outgoing("new", scenes.event())])
    assert await store.lane.call("KEYS", "*:m:*") == []
    turn = scenes.turn(delivery, "h1", tasks=(scenes.task(),))
    (lease,) = (await scenes.accept(store, turn, scenes.demand())).tasks
    assert (await store.complete([scenes.ended(lease)], [None])).accepted == (True,)
    (mail,) = (await scenes.take(store)).mails
    await store.lane.call("CONFIG", "SET", "maxmemory", 0)
    assert mail.message == scenes.result(lease)
    assert await scenes.send(store, "one", scenes.event()) == [SendOutcome.SENT]
    await store.close()


async def test_a_replica_and_wrong_credentials_are_refused(own_server: Server) -> None:
    lane = Lane(channel_factory(own_server.url))
    await lane.open()
    await lane.call("REPLICAOF", "127.0.0.1", 1)
    with pytest.raises(StoreUnavailable, match="read-only replica"):
        await lane.call("SET", "a", "b")
    with pytest.raises(StoreRefused, match="connect to the primary"):
        await redis_store(own_server.url, "h").open()
    await lane.call("REPLICAOF", "NO", "ONE")
    await lane.call("CONFIG", "SET", "requirepass", "secret")
    with pytest.raises(StoreRefused, match="credentials"):
        await Lane(channel_factory(own_server.url)).open()
    with pytest.raises(StoreRefused, match="credentials"):
        await Lane(channel_factory(f"unix://:wrong@{own_server.socket}")).open()
    known = Lane(channel_factory(f"unix://:secret@{own_server.socket}"))
    await known.open()
    await known.close()
    await lane.close()


async def test_who_waits_while_the_server_becomes_a_replica_asks_again(own_server: Server) -> None:
    lane = Lane(channel_factory(own_server.url))
    waiting = asyncio.create_task(lane.block(60_000, "XREAD", "BLOCK", 60_000, "STREAMS", "s", "0"))
    await _blocked(lane, 1)
    await lane.call("REPLICAOF", "127.0.0.1", 1)
    with pytest.raises(StoreUnavailable, match="state changed"):
        await waiting
    await lane.close()


async def test_nobody_listens() -> None:
    with pytest.raises(StoreUnavailable):
        await Lane(channel_factory("unix:///nowhere/at/all")).open()
    with pytest.raises(StoreRefused, match="address"):
        channel_factory("redis://localhost/?no_such_option=1")


async def _blocked(foreign: Lane, count: int) -> None:
    """Wait until so many clients are blocked."""
    async with asyncio.timeout(20):
        while f"blocked_clients:{count}\r".encode() not in await foreign.call("INFO", "clients"):
            pass
