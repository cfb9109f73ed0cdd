"""What `redurable doctor` finds on a server: whether it keeps what it is given, and answers in time. Writes nothing."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from enum import StrEnum
from statistics import median
from typing import Final, TypeAlias

from msgspec import Struct
from redis.exceptions import ResponseError

from redurable.errors import StoreError, StoreRefused
from redurable.store.redis.hubs import FORMAT, ServerFacts, check_server, server_facts
from redurable.store.redis.keys import HubKeys
from redurable.store.redis.lane import Lane

PINGS: Final = 200
SLOW_MS: Final = 5.0
"""A server whose slowest of a hundred answers takes longer slows every step down."""
SKEW_MS: Final = 1_000
FULL: Final = 0.8
"""So much of the memory limit may be in use."""
_RULES: Final = "give the user the rules that `redurable acl` prints"


class Verdict(StrEnum):
    """OK; WARN: it works, and somebody should know; FAIL: it does not work, or loses data."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


class Finding(Struct, frozen=True):
    """One thing that was looked at; `advice` is what to do about it, if anything."""

    check: str
    verdict: Verdict
    found: str
    advice: str = ""


_Check: TypeAlias = Callable[[ServerFacts], Iterator[Finding]]


async def examine(lane: Lane, hub: str) -> AsyncIterator[Finding]:
    """Look at everything, one after the other. A server that cannot be reached is one finding, and the last."""
    try:
        facts = await server_facts(lane)
    except (StoreError, ResponseError) as error:
        text = " ".join(str(error).split())
        yield Finding("connection", Verdict.FAIL, text, "check the address, the user and its rules, and the server")
        return
    for check in (_version, _eviction, _append_only, _replicas, _clients):
        for finding in check(facts):
            yield finding
    permissions = await _permissions(lane)
    yield permissions
    if permissions.verdict is Verdict.OK:
        yield await _clock(lane)
        yield await _latency(lane)
        yield await _hub(lane, hub)


def _version(facts: ServerFacts) -> Iterator[Finding]:
    product = "Valkey" if "valkey_version" in facts else "Redis"
    version = facts.get("valkey_version") or facts.get("redis_version") or "of an unknown version"
    try:
        check_server({**facts, "maxmemory_policy": "noeviction", "role": "master"})
    except StoreRefused as error:
        yield Finding("server", Verdict.FAIL, f"{product} {version}", str(error))
        return
    yield Finding("server", Verdict.OK, f"{product} {version}, {facts.get('redis_mode', 'standalone')}")


def _eviction(facts: ServerFacts) -> Iterator[Finding]:
    policy, limit = facts.get("maxmemory_policy", "?"), int(facts.get("maxmemory", "0"))
    used = int(facts.get("used_memory", "0"))
    if policy not in ("noeviction", "?"):
        yield Finding(
            *("eviction", Verdict.FAIL if limit else Verdict.WARN, policy),
            "set maxmemory-policy to noeviction: any other throws stored state away when memory runs out",
        )
    else:
        yield Finding("eviction", Verdict.OK, policy)
    shown = f"{_bytes(used)} in use, {f'of {_bytes(limit)}' if limit else 'no limit'}"
    if not limit:
        yield Finding("memory", Verdict.WARN, shown, "set maxmemory, so that the system does not kill the server")
    elif used > FULL * limit:
        yield Finding("memory", Verdict.WARN, shown, "raise maxmemory, shorten the retention, or purge instances")
    else:
        yield Finding("memory", Verdict.OK, shown)


def _append_only(facts: ServerFacts) -> Iterator[Finding]:
    if facts.get("aof_enabled") != "1":
        yield Finding(
            *("durability", Verdict.WARN, "append-only file off"),
            "set appendonly yes: a restart of the server loses everything since its last snapshot",
        )
    elif facts.get("aof_last_write_status", "ok") != "ok":
        yield Finding("durability", Verdict.FAIL, "the last write of the append-only file failed", "look at its disk")
    else:
        yield Finding("durability", Verdict.OK, "append-only file on")
    if facts.get("rdb_last_bgsave_status", "ok") != "ok":
        yield Finding("snapshot", Verdict.WARN, "the last snapshot failed", "look at the server's log and disk")
    if facts.get("loading", "0") == "1":
        yield Finding("loading", Verdict.FAIL, "the server reads its data", "wait until it has")


def _replicas(facts: ServerFacts) -> Iterator[Finding]:
    if facts.get("role", "master") != "master":
        yield Finding("replicas", Verdict.FAIL, "this is a replica", "connect to the primary")
        return
    count = int(facts.get("connected_slaves", "0"))
    behind = [line for name, line in facts.items() if name.startswith("slave") and "state=online" not in line]
    if count and behind:
        yield Finding(
            "replicas", Verdict.WARN, f"{count}, of which {len(behind)} are not in step", "look at their logs"
        )
    elif count:
        yield Finding("replicas", Verdict.OK, f"{count} in step")
    else:
        yield Finding(
            "replicas", Verdict.WARN, "none", "with one, and a failover, the loss of this server is no outage"
        )


def _clients(facts: ServerFacts) -> Iterator[Finding]:
    now, most = int(facts.get("connected_clients", "0")), int(facts.get("maxclients", "0"))
    if most and now > FULL * most:
        yield Finding("connections", Verdict.WARN, f"{now} of {most}", "raise maxclients, or run fewer processes")
    elif most:
        yield Finding("connections", Verdict.OK, f"{now} of {most}")


async def _permissions(lane: Lane) -> Finding:
    """Whether this user may run scripts and read; what else its rules lack shows in the message of the error."""
    user = "default"
    with suppress(StoreError, ResponseError):  # Most users may not ask who they are.
        user = str((await lane.call("ACL", "WHOAMI")).decode())
    try:
        await lane.call("EVAL_RO", "return 1", 0)
        await lane.call("TIME")
        await lane.call("PING")
    except (StoreError, ResponseError) as error:
        return Finding("permissions", Verdict.FAIL, f"user {user}: {error}", _RULES)
    return Finding("permissions", Verdict.OK, f"user {user} may run scripts")


async def _clock(lane: Lane) -> Finding:
    before = time.time()
    seconds, micros = await lane.call("TIME")
    skew = (int(seconds) + int(micros) / 1e6 - (before + time.time()) / 2) * 1000
    found = f"{round(skew):+d} ms from this machine"
    if abs(skew) > SKEW_MS:
        return Finding(
            *("clock", Verdict.WARN, found),
            "synchronise both by NTP: timers go by the server's clock, logs by the machines'",
        )
    return Finding("clock", Verdict.OK, found)


async def _latency(lane: Lane) -> Finding:
    took: list[float] = []
    for _ in range(PINGS):
        before = time.perf_counter()
        await lane.call("PING")
        took.append((time.perf_counter() - before) * 1000)
    slowest = sorted(took)[int(0.99 * PINGS)]
    found = f"median {median(took):.2f} ms, 99 of 100 within {slowest:.2f} ms"
    if slowest > SLOW_MS:
        return Finding(
            "latency", Verdict.WARN, found, "every step waits for two answers: move workers and server closer"
        )
    return Finding("latency", Verdict.OK, found)


async def _hub(lane: Lane, hub: str) -> Finding:
    try:
        stored, partitions = await lane.call("HMGET", HubKeys(hub).meta, "format", "partitions")
    except (StoreError, ResponseError) as error:
        return Finding("hub", Verdict.FAIL, str(error), _RULES)
    if stored is None:
        return Finding(
            "hub", Verdict.WARN, f"there is no hub {hub!r}", "`redurable init` makes it, or its first worker"
        )
    if stored != str(FORMAT).encode():
        return Finding(
            *("hub", Verdict.FAIL, f"{hub} has format {stored.decode(errors='replace')}, this release reads {FORMAT}"),
            "use the release that made it, or another hub",
        )
    return Finding("hub", Verdict.OK, f"{hub}, format {FORMAT}, {(partitions or b'?').decode()} partitions")


def _bytes(count: int) -> str:
    size, units = float(count), iter(("B", "KiB", "MiB", "GiB"))
    unit = next(units)
    while size >= 1024 and (larger := next(units, "")):
        size, unit = size / 1024, larger
    return f"{size:.0f} {unit}" if size >= 100 or unit == "B" else f"{size:.1f} {unit}"
