"""Create a hub or join it, on a server that can hold one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from redis.exceptions import ResponseError

from redurable.errors import StoreDamaged, StoreRefused
from redurable.store.redis.lane import Lane
from redurable.store.redis.layout import Layout

FORMAT = 2
"""The version of what is written: keys, hash fields, wire form."""
OLDEST_REDIS = (7, 0)
OLDEST_VALKEY = (7, 2)

ServerFacts: TypeAlias = dict[str, str]


async def open_hub(lane: Lane, layout: Layout, create: bool) -> Layout | None:
    """Check the server, read how many partitions the hub has, and return its layout. A hub that does not exist is
    created; or, unless `create`, the answer is None."""
    check_server(await server_facts(lane))
    try:
        if create:
            stored_format, partitions = await lane.script("open", [layout.hub.meta], [FORMAT, layout.partitions])
        elif not await lane.call("HLEN", layout.hub.meta):
            return None
        else:
            stored_format, partitions = await lane.call("HMGET", layout.hub.meta, "format", "partitions")
    except StoreDamaged as error:
        raise StoreRefused(f"{layout.hub.meta!r} is not the description of a hub: {error}") from error
    if stored_format != str(FORMAT).encode():
        raise StoreRefused(
            f"hub {layout.name!r} has format {(stored_format or b'?').decode(errors='replace')}, this release reads "
            f"{FORMAT}: use the release that made it, or another hub"
        )
    if not (partitions or b"").isdigit():
        raise StoreRefused(
            f"hub {layout.name!r} does not say how many partitions it has: {layout.hub.meta!r} is damaged"
        )
    joined = layout
    if int(partitions) != layout.partitions:
        joined = Layout(layout.name, int(partitions), layout.max_payload)
    ready = [joined.partition(number).ready for number in range(joined.partitions)]
    if create:
        await lane.script("groups", ready, [])
    return joined


def check_same(layout: Layout, stored: Sequence[bytes | None]) -> None:
    """Raise `StoreRefused` when the hub has become another one since it was opened: what is written by one number of
    partitions is not found by another."""
    found = [(value or b"?").decode(errors="replace") for value in stored]
    if found != [str(FORMAT), str(layout.partitions)]:
        raise StoreRefused(
            f"hub {layout.name!r} was made anew while this process served it: it has format {found[0]} and {found[1]} "
            f"partitions now, and had format {FORMAT} and {layout.partitions}; start this process again"
        )


async def server_facts(lane: Lane) -> ServerFacts:
    """What the server's INFO says; nothing of a server that has no INFO."""
    try:
        text: bytes = await lane.call("INFO")
    except ResponseError as error:
        if "unknown command" not in str(error).lower():
            raise
        return {}
    pairs = (line.partition(":") for line in text.decode(errors="replace").splitlines() if ":" in line)
    return {name: value.strip() for name, _, value in pairs}


def check_server(facts: ServerFacts) -> None:
    """Raise `StoreRefused` when the server would lose what it was given, or cannot run the scripts."""
    if "valkey_version" in facts:
        _check_version("Valkey", facts["valkey_version"], OLDEST_VALKEY)
    elif "redis_version" in facts:
        _check_version("Redis", facts["redis_version"], OLDEST_REDIS)
    if facts.get("role", "master") != "master":
        raise StoreRefused("the server is a replica: connect to the primary")
    if facts.get("cluster_enabled", "0") == "1":
        raise StoreRefused("the server is a node of a Redis Cluster: connect to a server without cluster mode")
    policy = facts.get("maxmemory_policy", "noeviction")
    if policy != "noeviction" and facts.get("maxmemory", "0") != "0":
        raise StoreRefused(f"maxmemory-policy is {policy}, which throws stored state away: set it to noeviction")


def _check_version(product: str, version: str, oldest: tuple[int, int]) -> None:
    parts = tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
    if parts < oldest:
        raise StoreRefused(f"the server is {product} {version or '?'}: use {product} {oldest[0]}.{oldest[1]} or newer")
