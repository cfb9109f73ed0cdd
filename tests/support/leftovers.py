"""When all instances of a hub have finished, only their records are left: nothing waits, nobody holds anything."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

from redurable.store.redis.keys import GROUP
from redurable.store.redis.store import RedisStore
from tests.support.processes import until

_RECORDS = re.compile(
    r"(meta|marks|workers|skills|queues|handed:.*|feed|cancels|canceled|ix|updated|ended|names|(named|kids|tag):.*|[ihecx]:.*)",
    re.DOTALL,
)
"""What may stay: the hub's own data, watermarks, what dead workers did not come for (it expires), cancelled calls; per
instance its hash, histories and custom status."""

_EMPTY = re.compile(r"(ready|outbox|intake|answers|tasks:.*)", re.DOTALL)
"""Streams that may stay, empty."""


async def assert_clean(store: RedisStore) -> None:
    """Fail if the hub holds undelivered or pending entries, mail, start slots, timers, retries, messages on their way,
    dead letters, parked or unfinished instances. What is being cleared away has a few seconds to go."""
    left: list[str] = []

    async def is_clean() -> bool:
        left[:] = [thing async for thing in _leftovers(store)]
        return not left

    try:
        await until(is_clean, "the hub is clean")
    except AssertionError:
        raise AssertionError(f"left over in hub {store.hub}: {'; '.join(left)}") from None


async def _leftovers(store: RedisStore) -> AsyncIterator[str]:
    async for key, name in _keys(store):
        if _EMPTY.fullmatch(name):
            length = await store.lane.call("XLEN", key)
            if length:
                yield f"{length} entries in {key}"
            if await store.lane.call("XINFO", "GROUPS", key):
                pending = await store.lane.call("XPENDING", key, GROUP)
                if pending[0]:
                    yield f"{pending[0]} pending entries in {key}, held by {pending[3]}"
        elif not _RECORDS.fullmatch(name):
            yield f"the key {key}"


async def _keys(store: RedisStore) -> AsyncIterator[tuple[str, str]]:
    """All keys of the hub, each with what stands behind its hash tag."""
    hub = re.compile(rf"rd:\{{{re.escape(store.hub)}(?::p\d+)?\}}:(.*)", re.DOTALL)
    cursor = b"0"
    while True:
        cursor, page = await store.lane.call("SCAN", cursor, "MATCH", f"rd:{{{store.hub}*", "COUNT", 1000)
        for key in page:
            found = hub.fullmatch(key.decode())
            if found:
                yield found[0], found[1]
        if cursor == b"0":
            return
