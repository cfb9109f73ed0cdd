"""A foreign worker: what docs/protocol.md tells programs in other languages to do, by plain commands of redis-py.

As a program (`python -m tests.support.foreign_worker SOCKET HUB QUEUE NAME`) it takes one task, says so, and falls
silent.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any, NamedTuple, cast

from redis import Redis
from redis.exceptions import ResponseError

SECONDS = 20.0


class Taken(NamedTuple):
    """A task: its queue's key, its entry's id, and what it says."""

    key: str
    id: str
    task: dict[str, Any]


class ForeignWorker:
    """One consumer of one task queue, in all partitions."""

    def __init__(self, redis: Redis, hub: str, queue: str, name: str) -> None:
        self.redis = redis
        self.queue = queue
        self.name = name
        self._more: list[Taken] = []
        self.partitions = int(cast("bytes", redis.hget(f"rd:{{{hub}}}:meta", "partitions")))
        self._base = f"rd:{{{hub}"
        redis.sadd(f"{self._base}}}:queues", queue)
        self._keys = [f"{self._base}:p{number}}}:tasks:{queue}" for number in range(self.partitions)]
        for key in self._keys:
            try:
                redis.xgroup_create(key, "w", id="0", mkstream=True)
            except ResponseError as error:
                if not str(error).startswith("BUSYGROUP"):
                    raise

    def take(self) -> Taken:
        """One task, waiting for it."""
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            taken = self.look()
            if taken is not None:
                return taken
        raise AssertionError(f"no task in {self.queue} within {SECONDS:g} s")

    def look(self, block_ms: int = 500) -> Taken | None:
        """One task, if there is one soon."""
        if not self._more:
            streams: Any = dict.fromkeys(self._keys, ">")
            reply: Any = self.redis.xreadgroup("w", self.name, streams, count=1, block=block_ms)
            self._more = [
                Taken(key.decode(), entry.decode(), json.loads(fields[b"t"]))
                for key, entries in reply or ()
                for entry, fields in entries
            ]
        return self._more.pop(0) if self._more else None

    def say(self, verb: str, taken: Taken, **fields: str) -> None:
        """Answer."""
        said: Any = {verb: taken.id, "queue": self.queue, "worker": self.name}
        self.redis.xadd(taken.key.replace(f"tasks:{self.queue}", "answers"), said | fields)

    def renew(self, taken: Taken) -> bool:
        """Whether the task is still held."""
        return bool(self.redis.xclaim(taken.key, "w", self.name, 0, [taken.id], justid=True))


def _main(socket: str, hub: str, queue: str, name: str) -> None:
    taken = ForeignWorker(Redis(unix_socket_path=socket), hub, queue, name).take()
    sys.stdout.write(f"{taken.id}\n")
    sys.stdout.flush()
    time.sleep(SECONDS)


if __name__ == "__main__":
    _main(*sys.argv[1:])
