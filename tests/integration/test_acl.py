"""The rules of `redurable acl` on real servers: every role logs in, does what it is for, and is refused all else."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import NoPermissionError, ResponseError
from redis.retry import Retry

from redurable import (
    App,
    Client,
    InstanceNotFound,
    OrchestrationContext,
    OrchestrationTerminated,
    RetryPolicy,
    Worker,
    WorkerSettings,
)
from redurable.errors import StoreRefused
from redurable.facts import DeadLettered, Fact
from redurable.store.membership import Skills
from redurable.store.redis import store as store_module
from redurable.store.redis.acl import Role, commands, rule, user
from redurable.store.redis.keys import HubKeys, PartitionKeys
from redurable.store.redis.lane import Lane
from redurable.store.redis.store import redis_store
from redurable.store.redis.wire import LAST_ID
from tests.support.processes import until
from tests.support.servers import Server

PASSWORD = "pw"
REFUSED = r"NOPERM|permission|ACL failure|not allowed|user executing the script can't"
QUICK = WorkerSettings(
    renew_every_ms=50, reclaim_every_ms=50, heartbeat_every_ms=50, sweep_every_ms=50, reap_after_ms=50, poll_block_ms=50
)
PATIENCE = timedelta(seconds=20)

app = App("acl")
attempts: dict[str, int] = {}


@app.activity(retry=RetryPolicy(max_attempts=3, initial_interval=timedelta(milliseconds=5)))
async def flaky(key: str) -> str:
    attempts[key] = attempts.get(key, 0) + 1
    if attempts[key] == 1:
        raise ValueError("not yet")
    return key.upper()


@app.activity(schedule_to_start_timeout=timedelta(minutes=1), start_to_close_timeout=timedelta(minutes=1))
def double(number: int) -> int:
    return 2 * number


@app.orchestrator
async def leaf(ctx: OrchestrationContext, number: int) -> int:
    return await ctx.call_activity(double, number)


@app.orchestrator
async def everything(ctx: OrchestrationContext, left: int) -> dict[str, Any]:
    ctx.set_custom_status({"left": left})
    if left:
        ctx.continue_as_new(left - 1)
    await asyncio.sleep(0.02)
    index, _ = await ctx.select(ctx.create_timer(timedelta(hours=1)), ctx.call_activity(flaky, ctx.instance_id))
    children = await asyncio.gather(*(ctx.call_sub_orchestrator(leaf, number) for number in range(5)))
    await ctx.raise_event("other", "Told", 1)
    return {"index": index, "children": children, "go": await ctx.wait_for_external_event("Go", str)}


@pytest.fixture
def admin(server: Server) -> Iterator[Any]:
    with server.client() as client:
        yield client


@pytest.fixture
def address(server: Server, admin: Any, hub: str) -> Iterator[Callable[..., str]]:
    """Users by the printed rules; the address of one of them."""
    made: list[str] = []

    def of(role: Role, of_hub: str = hub) -> str:
        name = user(of_hub, role)
        if name not in made:
            admin.execute_command(*rule(of_hub, role).split())
            admin.execute_command("ACL", "SETUSER", name, f">{PASSWORD}")
            made.append(name)
        return f"unix://{name}:{PASSWORD}@{server.socket}"

    yield of
    if made:
        admin.execute_command("ACL", "DELUSER", *made)


@contextmanager
def connected(url: str) -> Generator[Any]:
    redis: Any = Redis
    with redis.from_url(url, protocol=2, retry=Retry(NoBackoff(), 0)) as client:
        yield client


def refuses(client: Any, *command: Any) -> None:
    with pytest.raises(
        (NoPermissionError, ResponseError),
        match=REFUSED,
    ):
        client.execute_command(*command)


async def test_a_worker_and_a_client_do_all_that_they_are_for(
    address: Callable[..., str], hub: str, caplog: pytest.LogCaptureFixture
) -> None:
    worker_url, client_url = address(Role.WORKER), address(Role.CLIENT)
    async with Client(client_url, hub=hub) as client:
        handle = await client.start(everything.options(instance_id="one", tags={"a": "b"}), 1)
        async with Worker(app, worker_url, hub=hub, settings=QUICK) as worker, anyio.create_task_group() as group:
            group.start_soon(worker.run)
            await client.raise_event("one", "Go", "now", event_id="e-1")
            assert await handle.result(timeout=PATIENCE.total_seconds()) == {
                "index": 1, "children": [0, 2, 4, 6, 8], "go": "now"
            }  # fmt: skip
            delayed = await client.start(leaf.options(instance_id="two", delay=timedelta(milliseconds=20)), 4)
            assert await delayed.result(timeout=PATIENCE.total_seconds()) == 8
            again = await client.start(leaf.options(instance_id="two", on_conflict="replace-finished"), 5)
            assert await again.result(timeout=PATIENCE.total_seconds()) == 10
            await client.start(everything.options(instance_id="three"), 0)
            await client.suspend("three", "audit")
            await client.resume("three")
            await client.terminate("three", "enough")
            await anyio.sleep(0.3)  # so that every periodic role of the worker has had its turn
            worker.stop()
        assert len(await client.list_executions("one")) == 2
        assert await client.get_history("one")
        for name in ("one", "two"):
            await client.purge(name)
        with pytest.raises(InstanceNotFound):
            await client.get_status("one")
    warnings = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert [text for text in warnings if "for an instance that does not exist" not in text] == []


async def test_a_client_manages_what_the_command_line_offers(address: Callable[..., str], admin: Any, hub: str) -> None:
    async with (
        Client(address(Role.CLIENT), hub=hub) as client,
        Worker(app, address(Role.WORKER), hub=hub, settings=QUICK) as worker,
        anyio.create_task_group() as group,
    ):
        group.start_soon(worker.run)
        handle = await client.start(everything.options(instance_id="one"), 0)
        assert await client.explain("one")
        assert [status.instance_id async for status in client.list_instances(prefix="one", name="everything")] != []
        assert sum((await client.count_instances()).values()) >= 1
        for letter in ({"terminate": "late", "instance": "one"}, {"nonsense": "1"}):
            admin.xadd(HubKeys(hub).dead, {"reason": "a test", **letter})
        ids = [letter.id async for letter in client.list_dead_letters()]
        assert len(await client.redrive_dead_letters(ids)) == 1
        assert await client.drop_dead_letters(ids) == 1
        with pytest.raises(OrchestrationTerminated):
            await handle.result(timeout=PATIENCE.total_seconds())
        assert (await client.restart("one", as_new="two")).instance_id == "two"
        progress = [step async for step in client.bulk("terminate", prefix="two")]
        assert progress[-1].done == 1
        assert await client.purge_instances(prefix="one") >= 1
        worker.stop()


@pytest.mark.parametrize("role", [Role.WORKER, Role.CLIENT, Role.MONITOR])
async def test_whoever_may_read_learns_how_much_work_lies_where(
    server: Server, address: Callable[..., str], hub: str, role: Role
) -> None:
    owner = redis_store(server.url, hub, consumer="w1")
    await owner.open()
    await owner.heartbeat(60_000, Skills(("activities",), task_queues=("default",)))
    await owner.close()
    reader = redis_store(address(role), hub)
    assert await reader.open(create=False)
    found = await reader.depths(["vip"])
    assert (set(found.queues), found.dead, found.open) == ({"default", "vip"}, 0, 0)
    await reader.close()


@pytest.mark.parametrize("role", [Role.WORKER, Role.CLIENT, Role.RAISER, Role.MONITOR])
async def test_nobody_rules_the_server(address: Callable[..., str], role: Role) -> None:
    with connected(address(role)) as client:
        for command in (
            ("KEYS", "*"), ("SCAN", "0"), ("FLUSHALL",), ("FLUSHDB",), ("CONFIG", "GET", "*"), ("SCRIPT", "FLUSH"),
            ("ACL", "LIST"), ("CLIENT", "LIST"), ("SHUTDOWN",), ("DEBUG", "SLEEP", "0"), ("SAVE",), ("MONITOR",),
            ("FUNCTION", "LIST"), ("PUBLISH", "c", "m"), ("SUBSCRIBE", "c"), ("SET", "other", "1"), ("GET", "other"),
        ):  # fmt: skip
            refuses(client, *command)


async def test_a_raiser_appends_to_the_intake_and_does_nothing_else(
    server: Server, address: Callable[..., str], admin: Any, hub: str
) -> None:
    opened = redis_store(server.url, hub, consumer="w1")
    await opened.open()
    await opened.close()
    intake, mailbox, ready = HubKeys(hub).intake, opened.mailbox_key("one"), PartitionKeys(hub, 0).ready
    with connected(address(Role.RAISER)) as raiser:
        assert raiser.xadd(intake, {"event": "Go", "instance": "one"})
        for command in (
            ("XRANGE", intake, "-", "+"), ("XREAD", "STREAMS", intake, "0"), ("XLEN", intake),
            ("XINFO", "STREAM", intake),
            ("XTRIM", intake, "MAXLEN", "0"), ("XDEL", intake, "0-1"), ("DEL", intake), ("UNLINK", intake),
            ("XGROUP", "CREATE", intake, "g", "0"), ("XSETID", intake, LAST_ID), ("EXPIRE", intake, "1"),
            ("RENAME", intake, intake + "2"), ("EXISTS", intake), ("EVAL", "return 1", "0"), ("INFO",), ("MULTI",),
            ("XADD", mailbox, "*", "event", "Go"), ("XADD", ready, "*", "i", "one"),
            ("XADD", HubKeys(hub).dead, "*", "a", "b"), ("XADD", HubKeys(hub).aside, "*", "a", "b"),
        ):  # fmt: skip
            refuses(raiser, *command)
    assert admin.xlen(intake) == 1


async def test_a_monitor_reads_everything_and_writes_nothing(
    server: Server, address: Callable[..., str], hub: str
) -> None:
    async with Worker(app, server.url, hub=hub, settings=QUICK) as worker, anyio.create_task_group() as group:
        group.start_soon(worker.run)
        async with Client(server.url, hub=hub) as client:
            handle = await client.start(leaf.options(instance_id="one"), 4)
            await handle.result(timeout=PATIENCE.total_seconds())
        worker.stop()
    url, keys = address(Role.MONITOR), PartitionKeys(hub, 0)
    async with Client(url, hub=hub) as reader:
        assert (await reader.get_status("one", show_history=True)).output == 8
        assert await reader.get_handle("one").result(timeout=5) == 8
        assert len(await reader.list_executions("one")) == 1
        for attempt in (reader.terminate("one", ""), reader.purge("one"), reader.raise_event("one", "Go")):
            with pytest.raises(StoreRefused, match="redurable acl"):
                await attempt
    with connected(url) as monitor:
        assert monitor.xinfo_stream(keys.ready)
        assert monitor.xlen(HubKeys(hub).dead) == 0
        for command in (
            ("XADD", HubKeys(hub).intake, "*", "a", "b"), ("DEL", keys.open), ("SADD", keys.open, "x"),
            ("HSET", HubKeys(hub).meta, "format", "2"), ("XTRIM", keys.ready, "MAXLEN", "0"),
            ("EVAL", "return redis.call('DEL', KEYS[1])", "1", keys.open),
            ("EVAL_RO", "return redis.call('DEL', KEYS[1])", "1", keys.open),
        ):  # fmt: skip
            refuses(monitor, *command)


async def test_tenants_are_apart(address: Callable[..., str], hub: str) -> None:
    theirs = f"{hub}2"
    ours, other = address(Role.WORKER), redis_store(address(Role.WORKER, theirs), theirs, consumer="w1")
    await other.open()
    for kind in (Role.WORKER, Role.CLIENT):
        intruder = redis_store(address(kind), theirs, consumer="w2")
        with pytest.raises(StoreRefused, match="redurable acl"):
            await intruder.open()
    with connected(ours) as worker:
        mailbox = other.mailbox_key("one")
        for key in (mailbox, other.layout.hub.intake, other.layout.partition(0).ready, other.layout.hub.dead):
            refuses(worker, "XADD", key, "*", "event", "Go")
            refuses(worker, "XRANGE", key, "-", "+")
            refuses(worker, "EVAL", "return redis.call('XADD', KEYS[1], '*', 'a', 'b')", "1", key)
            refuses(worker, "EVAL", f"return redis.call('XADD', '{key}', '*', 'a', 'b')", "0")
    await other.close()
    with pytest.raises(StoreRefused, match="redurable acl"):
        async with Worker(app, ours, hub=theirs):
            pass


async def test_an_application_may_raise_within_its_own_transactions(
    server: Server, address: Callable[..., str], admin: Any, hub: str
) -> None:
    """A selector adds the raiser's right to a user of its own, whatever else that one may do."""
    keys, name = HubKeys(hub), f"shop-{hub}"
    own = f"~stock:{{{hub}}} +@all"
    rules = ["on", f">{PASSWORD}", *own.split(), f"(%W~{keys.intake} +xadd)"]
    admin.execute_command("ACL", "SETUSER", name, *rules)
    try:
        with connected(f"unix://{name}:{PASSWORD}@{server.socket}") as shop:
            with shop.pipeline(transaction=True) as both:
                both.decrby(f"stock:{{{hub}}}", 1)
                both.xadd(keys.intake, {"event": "Sold", "instance": "one"})
                assert len(both.execute()) == 2
            refuses(shop, "XRANGE", keys.intake, "-", "+")
            refuses(shop, "XADD", keys.dead, "*", "a", "b")
    finally:
        admin.execute_command("ACL", "DELUSER", name)
    assert admin.xlen(keys.intake) == 1


async def test_whatever_a_raiser_does_the_worker_goes_on_and_tells(
    server: Server, address: Callable[..., str], admin: Any, hub: str, caplog: pytest.LogCaptureFixture
) -> None:
    intake, facts = HubKeys(hub).intake, list[Fact]()
    async with Worker(app, address(Role.WORKER), hub=hub, settings=QUICK) as worker, anyio.create_task_group() as group:
        worker.facts.subscribe(facts.append)
        group.start_soon(worker.run)
        async with Client(address(Role.CLIENT), hub=hub) as client:
            with connected(address(Role.RAISER)) as raiser, raiser.pipeline(transaction=False) as flood:
                for number in range(3_000):
                    flood.xadd(intake, {"nonsense": number})
                    flood.xadd(intake, {"event": "Go", "instance": f"nobody-{number % 50}"})
                flood.execute()
                for _ in range(3):
                    raiser.xadd(intake, {"event": "Go", "instance": "one", "data": '"a"', "id": "e-1"}, id=LAST_ID)
                    assert await _accepted(raiser, intake)
                raiser.xadd(intake, {"start": "everything", "instance": "one", "input": "0", "id": "s-1"})
            handle = await client.start(leaf.options(instance_id="calm"), 4)
            assert await handle.result(timeout=PATIENCE.total_seconds()) == 8
            await until(lambda: _exists(client, "one"), "the intake was read")
            result: Any = await client.get_handle("one").result(timeout=PATIENCE.total_seconds())
            assert result["go"] == "a"
        worker.stop()
    lines = "\n".join(record.getMessage() for record in caplog.records if record.name == "redurable.worker")
    assert lines.count("another program used up the ids of the intake") == 3
    assert "intake entries are lost: another program removed them" in lines
    assert sum(fact.count for fact in facts if isinstance(fact, DeadLettered)) >= 3_000
    reasons = [fields[b"reason"] for _, fields in admin.xrange(HubKeys(hub).dead)]
    assert sum(b"used up the ids" in reason for reason in reasons) == 3


async def _exists(client: Client, instance: str) -> bool:
    try:
        return bool(await client.get_status(instance))
    except InstanceNotFound:
        return False


async def _accepted(raiser: Any, intake: str) -> bool:
    """Trim the intake away; refused until the worker has put the one aside whose ids are used up."""
    for _ in range(2_000):
        try:
            return bool(raiser.xadd(intake, {"event": "X", "instance": "one"}, maxlen=0, approximate=False))
        except ResponseError:
            await anyio.sleep(0.01)
    return False


async def test_the_rules_of_the_worker_are_what_the_store_says(foreign: Lane) -> None:
    """Every word in capitals in the store's modules that is a command of the server is one of the worker's."""
    known = {name.decode().upper() for name in await foreign.call("COMMAND", "LIST")}
    folder = Path(store_module.__file__).parent
    said = {
        word
        for path in [*folder.glob("*.py"), *folder.glob("lua/*.lua")]
        for word in re.findall(r"""["']([A-Z_]{3,})["']""", path.read_text())
        if path.name not in ("acl.py", "diagnosis.py")
    }
    allowed = {command.partition("|")[0].upper() for command in commands(Role.WORKER)}
    assert (said & known) - allowed == set()
    foreign_reads = {"HGETALL", "TTL"}
    assert allowed - said == {"EVALSHA", "EVAL", "EVAL_RO", "EVALSHA_RO", "PING", "SELECT", *foreign_reads} - said


def test_programs_that_follow_the_protocol_may_say_what_its_page_says() -> None:
    page = (Path(__file__).parents[2] / "docs" / "protocol.md").read_text()
    said = {command.lower() for command in re.findall(r"(?:redis-cli |`)([A-Z]{3,})\b", page)}
    assert {"xadd", "xreadgroup", "hget", "zscore"} <= said
    no_commands = {"busygroup", "nogroup", "unblocked", "count", "instance", "length"}
    allowed = {command.partition("|")[0] for command in commands(Role.WORKER)}
    assert said - allowed - no_commands == set()
