"""Least-privilege ACL rules of Redis for the users of one hub: `redurable acl` prints them.

Key patterns keep the users of one hub out of every other one. What scripts do is taken from their texts, so that rules
and release fit together; inside scripts the server checks every command and key against the same rules.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Final

from redurable.core.ids import check_hub_name
from redurable.store.redis.keys import HubKeys
from redurable.store.redis.scripts import load, names


class Role(StrEnum):
    """Who connects. WORKER runs user code. CLIENT starts, raises, waits, reads, purges. RAISER, from any language,
    appends to the intake and does nothing else. MONITOR reads."""

    WORKER = "worker"
    CLIENT = "client"
    RAISER = "raiser"
    MONITOR = "monitor"


_CALL = re.compile(r"\b(?:p?call|try)\(\s*'([A-Z]+)'(?:,\s*'([A-Z]+)')?")
_CONTAINERS: Final = ("XGROUP", "XINFO")
"""Commands that are only named together with their subcommand."""

_CONNECTION: Final = ("ping", "select")
_FOREIGN: Final = ("hgetall", "ttl")
"""What programs in other languages read with, beside the store's own words: docs/protocol.md describes hashes."""
_SCRIPTS: Final = ("eval", "evalsha")
_READ_SCRIPTS: Final = ("eval_ro", "evalsha_ro")

_WORKER: Final = (
    *(
        "client|tracking",
        "exists",
        "hello",
        "hget",
        "hlen",
        "hmget",
        "hvals",
        "info",
        "lrange",
        "rpush",
        "sadd",
        "scard",
        "smembers",
        "sscan",
        "time",
        "unlink",
    ),
    *("xack", "xadd", "xdel", "xpending", "xrange", "xread", "xreadgroup", "xrevrange", "zadd", "zrem"),
    *("zcount", "zrangebyscore", "zremrangebyrank", "zscan"),
)
"""What workers say outside of scripts, or hand to `commit.lua` as commands."""

_CLIENT: Final = (
    *("hdel", "hget", "hlen", "hmget", "hvals", "info", "lrange", "sadd", "smembers", "srem", "time", "unlink"),
    *("xadd", "xdel", "xrange", "xpending", "xread", "xrevrange", "zadd", "zrem", "zremrangebyrank"),
)
"""What clients say outside of scripts, or hand to `commit.lua` as commands when they rewind or reset an instance."""
_CLIENT_SCRIPTS: Final = (
    "start",
    "send",
    "purge",
    "disown",
    "open",
    "groups",
    "settle",
    "underway",
    "commit",
    "redrive_letter",
)

_MONITOR: Final = (
    *("exists", "get", "hget", "hgetall", "hlen", "hmget", "hvals", "info", "lindex", "llen", "lrange", "pttl"),
    *("scard", "sismember", "smembers", "sscan", "strlen", "time", "ttl", "type"),
    *("xinfo|consumers", "xinfo|groups", "xinfo|stream", "xlen", "xpending", "xrange", "xread", "xrevrange"),
    *("zcard", "zcount", "zrange", "zrangebyscore", "zscore"),
)


def user(hub: str, role: Role) -> str:
    """The name that the rules give to the user."""
    return f"{hub}-{role}"


def rule(hub: str, role: Role) -> str:
    """One line for redis-cli. It changes no password, and a user without one cannot log in."""
    check_hub_name(hub)
    words = ["on", "resetkeys", "resetchannels", "clearselectors", "-@all", *_keys(hub)[role]]
    words += [f"+{command}" for command in sorted(commands(role))]
    return f"ACL SETUSER {user(hub, role)} {' '.join(words)}"


def commands(role: Role) -> set[str]:
    """The commands of a role, as ACL rules name them."""
    match role:
        case Role.WORKER:
            return {*_CONNECTION, *_FOREIGN, *_SCRIPTS, *_READ_SCRIPTS, *_WORKER} | _called(names())
        case Role.CLIENT:
            scripts = [*_CLIENT_SCRIPTS, *(name for name in names() if load(name).reads)]
            return {*_CONNECTION, *_FOREIGN, *_SCRIPTS, *_READ_SCRIPTS, *_CLIENT} | _called(scripts)
        case Role.RAISER:
            return {*_CONNECTION, "xadd"}
        case Role.MONITOR:
            return {*_CONNECTION, *_READ_SCRIPTS, *_MONITOR}


def _called(scripts: Iterable[str]) -> set[str]:
    found = {match.groups() for name in scripts for match in _CALL.finditer(load(name).text)}
    return {f"{name}|{second}".lower() if name in _CONTAINERS else name.lower() for name, second in found}


def _keys(hub: str) -> Mapping[Role, tuple[str, ...]]:
    of_hub, of_partitions = f"rd:{{{hub}}}:*", f"rd:{{{hub}:p*}}:*"
    keys = HubKeys(hub)
    read = tuple(f"%R~{key}" for key in (keys.queues, keys.skills, keys.workers))
    return {
        Role.WORKER: (f"~{of_hub}", f"~{of_partitions}"),
        Role.CLIENT: (f"~{keys.meta}", f"~{keys.intake}", f"~{keys.dead}", *read, f"~{of_partitions}"),
        Role.RAISER: (f"%W~{keys.intake}",),
        Role.MONITOR: (f"%R~{of_hub}", f"%R~{of_partitions}"),
    }
