"""`redurable doctor` on servers that are well, and on such that are not: what it finds, and what it advises."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from anyio import to_thread
from typer.testing import CliRunner

from redurable import App, Client, OrchestrationContext
from redurable.cli import main
from redurable.cli.wellbeing import look_at
from redurable.client.link import Link
from redurable.store.depths import Depth, Depths
from redurable.store.membership import Skills
from redurable.store.port import DueTimer, Upcoming
from redurable.store.redis.acl import Role, rule, user
from redurable.store.redis.diagnosis import Verdict
from redurable.store.redis.keys import HubKeys
from redurable.store.redis.store import redis_store
from tests.support.pretender import pretending
from tests.support.servers import Server

Findings = dict[str, dict[str, str]]
app = App("doctor")


@app.orchestrator
async def wait(ctx: OrchestrationContext) -> object:
    return await ctx.wait_for_external_event("Go")


async def doctor(url: str, code: int, hub: str = "orders") -> Findings:
    words = ["doctor", "--redis", url, "--hub", hub, "-o", "json"]
    done = await to_thread.run_sync(lambda: CliRunner().invoke(main.app, words))
    assert done.exit_code == code, done.output
    assert "Traceback" not in done.output
    return {row["check"]: row for row in json.loads(done.stdout)}


def verdicts(findings: Findings) -> dict[str, str]:
    return {check: row["verdict"] for check, row in findings.items()}


async def test_a_fit_server_and_a_hub_at_work(own: Callable[..., Server]) -> None:
    fit = own("--appendonly", "yes", "--maxmemory", "1gb", "--maxmemory-policy", "noeviction")
    async with Client(fit.url, hub="orders") as client:
        await client.start(wait)
    worker = redis_store(fit.url, "orders", consumer="w1")
    await worker.open()
    await worker.heartbeat(60_000, Skills(("orchestrations", "activities"), task_queues=("default",)))
    found = await doctor(fit.url, 0)
    await worker.close()
    warned = {check for check, verdict in verdicts(found).items() if verdict != "ok"}
    assert warned <= {"replicas", "latency"}, found
    assert {"server", "eviction", "memory", "durability", "connections", "permissions", "clock", "hub"} <= set(found)
    assert {"workers", "timers", "messages", "dead letters", "quarantine"} <= set(found)
    assert "partitions" in found["hub"]["found"]
    assert found["workers"]["found"] == "1 live: 1 take turns, 1 run activities"


async def test_what_an_idle_hub_lacks(server: Server, hub: str) -> None:
    assert (await doctor(server.url, 0, hub))["hub"]["found"] == f"there is no hub {hub!r}"
    async with Client(server.url, hub=hub) as client:
        await client.start(wait)
    with server.client() as other:
        other.xadd(HubKeys(hub).dead, {"reason": "nobody"})
    found = await doctor(server.url, 0, hub)
    assert found["durability"]["verdict"] == "warn"
    assert "appendonly yes" in found["durability"]["advice"]
    assert (found["memory"]["verdict"], found["replicas"]["verdict"]) == ("warn", "warn")
    assert found["workers"]["advice"] == "start one: `redurable worker MODULE:APP`"
    assert (found["dead letters"]["verdict"], found["dead letters"]["found"]) == ("warn", "1 lie there")


async def test_a_server_that_is_too_old() -> None:
    with pretending(redis_version="6.2.14") as (url, _):
        found = await doctor(url, 1)
    assert found["server"]["verdict"] == "fail"
    assert "use Redis 7.0 or newer" in found["server"]["advice"]


async def test_a_server_that_may_evict(own: Callable[..., Server]) -> None:
    found = await doctor(own("--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru").url, 1)
    assert (found["eviction"]["verdict"], found["eviction"]["found"]) == ("fail", "allkeys-lru")
    assert "noeviction" in found["eviction"]["advice"]
    unlimited = await doctor(own("--maxmemory-policy", "allkeys-lru").url, 0)
    assert unlimited["eviction"]["verdict"] == "warn"


async def test_a_replica_and_one_out_of_step(own: Callable[..., Server]) -> None:
    found = await doctor(own("--replicaof", "127.0.0.1 1").url, 1)
    assert (found["replicas"]["verdict"], found["server"]["verdict"]) == ("fail", "ok")
    assert found["replicas"]["advice"] == "connect to the primary"


async def test_a_hub_of_another_format(server: Server, hub: str) -> None:
    with server.client() as other:
        other.hset(HubKeys(hub).meta, mapping={"format": "99", "partitions": "4"})
    found = await doctor(server.url, 1, hub)
    assert found["hub"]["verdict"] == "fail"
    assert "has format 99" in found["hub"]["found"]
    assert "workers" not in found


async def test_nobody_listens() -> None:
    found = await doctor("unix:///nowhere/s", 1)
    assert verdicts(found) == {"connection": "fail"}


@pytest.mark.parametrize("role", [Role.WORKER, Role.CLIENT, Role.MONITOR])
async def test_whoever_may_read_may_ask(server: Server, hub: str, role: Role) -> None:
    async with Client(server.url, hub=hub) as client:
        await client.start(wait)
    with server.client() as connected:
        admin: Any = connected
        admin.execute_command(*rule(hub, role).split())
        admin.execute_command("ACL", "SETUSER", user(hub, role), ">pw")
        found = await doctor(f"unix://{user(hub, role)}:pw@{server.socket}", 0, hub)
        admin.execute_command("ACL", "DELUSER", user(hub, role))
    assert {"permissions", "hub", "workers", "quarantine"} <= set(found)


@pytest.mark.parametrize(
    ("rules", "check"),
    [
        (("-@all", "+ping"), "connection"),
        (("+@all", "-eval_ro"), "permissions"),
        (("+@all", "resetkeys", "~other:*"), "hub"),
        (("+@all", "resetkeys", "~rd:{{{hub}}}:meta"), "contents"),
    ],
)
async def test_a_user_with_wrong_rules(server: Server, hub: str, rules: tuple[str, ...], check: str) -> None:
    async with Client(server.url, hub=hub) as client:
        await client.start(wait)
    with server.client() as connected:
        admin: Any = connected
        admin.execute_command("ACL", "SETUSER", hub, "on", ">pw", "~*", *(each.format(hub=hub) for each in rules))
        found = await doctor(f"unix://{hub}:pw@{server.socket}", 1, hub)
        admin.execute_command("ACL", "DELUSER", hub)
    assert found[check]["verdict"] == "fail", found
    assert "rules" in found[check]["advice"]


async def test_what_lies_still_in_a_hub(server: Server, hub: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it would take a minute to make is told to it."""
    store = redis_store(server.url, hub, consumer="w1")
    await store.open()
    await store.heartbeat(60_000, Skills(("orchestrations",), task_queues=("default",)))
    late = Depths(
        now=1,
        ready=Depth(lag=3, waiting_ms=90_000),
        queues={
            "default": Depth(lag=2, waiting_ms=70_000),
            "gpu": Depth(lag=1, waiting_ms=5),
            "idle": Depth(),
        },
        outbox=5_000,
        timers=9,
        due=4,
    )

    async def depths(queues: object = ()) -> Depths:
        return late

    async def upcoming(partitions: object, horizon_ms: int, count: int) -> Upcoming:
        return Upcoming(now=200_000, timers=(DueTimer(80_000, 0, "x"),))

    monkeypatch.setattr(store, "depths", depths)
    monkeypatch.setattr(store, "upcoming", upcoming)
    found = {each.check: each async for each in look_at(Link(store, 5))}
    await store.close()
    assert {check for check, each in found.items() if each.verdict is Verdict.WARN} == {
        *("workers", "turns", "queue default", "queue gpu", "timers", "messages")
    }
    assert found["turns"].found == "3 wait, the oldest for 90 s"
    assert found["queue gpu"].advice == "start a worker with --task-queue gpu"
    assert found["timers"].found == "4 of 9 are overdue, the oldest for 120 s"
    assert found["workers"].found == "1 live: 1 take turns, 0 run activities"
