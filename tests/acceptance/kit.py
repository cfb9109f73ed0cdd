"""A hub on a real server, worker processes that serve it, and what they leave behind in the store and in the world."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

import msgspec

from redurable import Client
from redurable import facts as announced
from redurable.client import Handle
from redurable.demo.effects import Effect, read_effects
from redurable.facts import Fact
from redurable.store.redis.store import RedisStore, redis_store
from tests.acceptance.plant_app import child_of, line, line_result
from tests.support.faults import Fault
from tests.support.histories import check_completed, idempotency_keys
from tests.support.leftovers import assert_clean
from tests.support.processes import SECONDS, WorkerProcess, until
from tests.support.servers import Server
from tests.support.shops import free_port

F = TypeVar("F", bound=Fact)

APP = "tests.acceptance.plant_app:app"
EFFECTS_OF_A_LINE = 5
"""A step, three presses, and the press of its child."""

SHORT_LEASES = {
    "instance_lease_ms": 400,
    "task_lease_ms": 600,
    "renew_every_ms": 100,
    "reclaim_every_ms": 100,
    "worker_ttl_ms": 1_000,
    "heartbeat_every_ms": 200,
    "steal_after_ms": 200,
    "sweep_every_ms": 500,
    "retry_max_ms": 200,
    # Shorter than the leases: who stands still must not be handed what was taken over from it.
    "poll_block_ms": 200,
}
"""What a dead worker held is taken over within a second. On a busy machine a living one may lose a lease, too."""

LONG_LEASES = SHORT_LEASES | {"instance_lease_ms": 60_000, "task_lease_ms": 60_000, "worker_ttl_ms": 60_000}
"""No lease runs out within a test: whatever changes hands was handed over."""


class Plant:
    """`client` and `store` are the test's own; `settings` are those of its workers, unless they are told others."""

    def __init__(self, server: Server, store: RedisStore, client: Client, directory: Path) -> None:
        self.server = server
        self.store = store
        self.client = client
        self.settings: Mapping[str, int] = SHORT_LEASES
        self._directory = directory
        self._effects = directory / "effects.tsv"
        self._workers: list[WorkerProcess] = []

    def begin_worker(self, *more: str, app: str = APP, **changes: int) -> WorkerProcess:
        """Start `redurable worker` with more words; it is not ready yet."""
        words = ["redurable", "worker", app, "--hub", self.store.hub]
        if "--redis" not in more:
            words += ["--redis", self.server.url]
        if "--metrics-port" not in more:
            words += ["--metrics-port", "0"]
        return self._begin([*words, "--until-stdin-closes", *more], changes)

    async def worker(self, *more: str, app: str = APP, **changes: int) -> WorkerProcess:
        """A `redurable worker` that is ready; `changes` of its settings."""
        worker = self.begin_worker(*more, app=app, **changes)
        await worker.ready()
        return worker

    async def workers(self, count: int, *more: str, **changes: int) -> list[WorkerProcess]:
        """Several workers, all ready, each with a port of its own for its metrics; all know of each other."""
        workers = [
            self.begin_worker("--metrics-port", str(free_port()), *more, app=APP, **changes) for _ in range(count)
        ]
        for worker in workers:
            await worker.ready()
        await until(
            lambda: all(f"{count} workers; this one prefers" in worker.said for worker in workers),
            f"{count} workers know of each other",
        )
        return workers

    async def faulty(self, fault: Fault) -> WorkerProcess:
        """A worker with a fault, ready."""
        words = [self.server.url, self.store.hub, msgspec.json.encode(fault).decode(), str(self._facts_file)]
        worker = self._begin(["tests.acceptance.faulty_worker", *words], {})
        await worker.ready()
        return worker

    def facts(self, kind: type[F]) -> list[F]:
        """The facts of one kind that faulty workers have announced."""
        text = self._facts_file.read_bytes() if self._facts_file.exists() else b""
        lines = [msgspec.json.decode(line) for line in text.splitlines(keepends=True) if line.endswith(b"\n")]
        return [msgspec.convert(fields, kind) for name, fields in lines if getattr(announced, name) is kind]

    def effects(self, activity: str = "") -> list[Effect]:
        """The lines in the effects file, of one activity or of all."""
        return [effect for effect in read_effects(self._effects) if activity in ("", effect.activity)]

    def open_gate(self, name: str) -> None:
        """Let `hold` go on."""
        self.gate(name).touch()

    def gate(self, name: str) -> Path:
        """The file that is there while the gate of that name is open."""
        return self._effects.with_name(f"gate-{name}")

    async def start_lines(self, count: int, first: int = 0) -> dict[str, Handle[int]]:
        """Start so many `line`s."""
        numbers = range(first, first + count)
        return {
            f"line-{number}": await self.client.start(line, number, instance_id=f"line-{number}") for number in numbers
        }

    async def lines_until(
        self, condition: Callable[[], bool], what: str, count: int = 20, first: int = 0
    ) -> dict[str, Handle[int]]:
        """Start so many `line`s, and as many again whenever all are done and the condition is not yet true: a worker
        that the machine lets stand for a moment leaves all of them to the others. `first` are there already."""
        handles = await self.start_lines(count, first)

        async def is_true() -> bool:
            if condition():
                return True
            if len({effect.key for effect in self.effects()}) == EFFECTS_OF_A_LINE * (first + len(handles)):
                handles.update(await self.start_lines(count, first + len(handles)))
            return False

        await until(is_true, what)
        return handles

    async def check_lines(self, handles: Mapping[str, Handle[int]], seconds: float = SECONDS) -> None:
        """Wait for these `line`s; check results, histories, and that nothing is left over."""
        for instance, handle in handles.items():
            assert await handle.result(timeout=seconds) == line_result(int(instance.removeprefix("line-")))
        await self.check([*handles, *map(child_of, handles)])

    async def check(self, instances: Iterable[str]) -> None:
        """These instances, and no others, ran: each has a valid history that completed; every activity in it has had
        its effect, and no effect is of any other; nothing is left over."""
        keys: list[str] = []
        for instance in instances:
            status = await self.client.get_status(instance, show_history=True)
            assert status.runtime_status == "Completed", status
            assert status.history is not None
            check_completed(status.history)
            keys += idempotency_keys(instance, status.history)
        assert {effect.key for effect in self.effects()} == set(keys)
        await assert_clean(self.store)

    def assert_no_effect_twice(self, *activities: str) -> None:
        """Every call had one attempt (calls of these activities only, if any are named)."""
        lines = Counter(
            (effect.activity, effect.key)
            for effect in self.effects()
            if not activities or effect.activity in activities
        )
        assert {call: count for call, count in lines.items() if count > 1} == {}

    def close(self) -> None:
        """End all processes."""
        for worker in self._workers:
            worker.close()

    def logs(self) -> str:
        """What all workers have said, for a test that failed."""
        return "\n".join(f"--- {worker.log.name} (process {worker.pid})\n{worker.said}" for worker in self._workers)

    @property
    def _facts_file(self) -> Path:
        return self._directory / "facts.jsonl"

    def _begin(self, words: Sequence[str], changes: Mapping[str, int]) -> WorkerProcess:
        log = self._directory / f"worker-{len(self._workers) + 1}.log"
        worker = WorkerProcess(words, log, self._effects, {**self.settings, **changes})
        self._workers.append(worker)
        return worker


@asynccontextmanager
async def plant_on(server: Server, hub: str, directory: Path) -> AsyncGenerator[Plant, None]:
    """A plant on that server; its workers end with the block. If the block fails, what they said is printed."""
    store = redis_store(server.url, hub)
    await store.open()
    try:
        async with Client.from_store(store) as client:
            plant = Plant(server, store, client, directory)
            try:
                yield plant
            except BaseException:
                print(plant.logs())  # noqa: T201 - pytest shows it with the failure
                raise
            finally:
                plant.close()
    finally:
        await store.close()
