"""A load made of the gallery, on two workers, and steps in it that cause the rare faults, each on purpose.

`run` returns when all of them have happened; the workers go on.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any

import anyio

from examples.eternal_orchestration import Stock
from examples.retry_gallery import GALLERY
from redurable import Client, InstanceFinished, OrchestrationEnded
from redurable.client import Handle
from redurable.store.redis.keys import HubKeys
from tests.acceptance.kit import SHORT_LEASES, Plant
from tests.support.processes import WorkerProcess, until

APP = "tests.monitoring.load_app:app"
SETTINGS = SHORT_LEASES | {
    "max_deliveries": 2,
    "park_min_ms": 100,
    "park_max_ms": 500,
    "cache_instances": 5,
    "survey_every_ms": 500,
    "max_history_events": 40,
    "max_payload_bytes": 100_000,
}
"""What makes faults come soon: short leases, a small cache, a low cap."""

STANDSTILL_S = 2.5
PATIENCE_S = 40
NOT_LONG_S = 10
PAUSE_S = 0.3


class Load:
    """Two workers, whose metrics are on these ports."""

    def __init__(self, plant: Plant, ports: tuple[int, int]) -> None:
        plant.settings = SETTINGS
        self.plant = plant
        self.ports = ports
        self.workers: list[WorkerProcess] = []

    @property
    def client(self) -> Client:
        return self.plant.client

    async def begin(self) -> None:
        """Start the workers."""
        self.workers = [self.plant.begin_worker("--metrics-port", str(port), app=APP) for port in self.ports]
        for worker in self.workers:
            await worker.ready()

    async def run(self, calm: float = 0) -> None:
        """The gallery all the time, and one fault after the other; for `calm` seconds before and after nothing bad
        happens."""
        async with anyio.create_task_group() as group:
            group.start_soon(self._work_on, self._play_the_gallery)
            group.start_soon(self._work_on, self._keep_a_shelf)
            await anyio.sleep(calm)
            for fault in (
                self.bad_deploy,  # First: what its workers count and nobody scrapes ends with them.
                self.dead_letters,
                self.lost_connections,
                self.refused_payload,
                self.long_history,
                self.late_timers,
                self.fenced_commit,
            ):
                await fault()
            await anyio.sleep(calm)
            group.cancel_scope.cancel()

    async def dead_letters(self) -> None:
        """Entries that nobody can use, and events for nobody."""
        dead = HubKeys(self.plant.store.hub)
        with self.plant.server.client() as foreign:
            foreign.xadd(dead.intake, {"kind": "nonsense"})
            foreign.xadd(dead.intake, {"event": "Go", "instance": "nobody", "data": "1"})
            foreign.xadd(dead.intake, {"terminate": "gone", "instance": "nobody"})
            await until(lambda: foreign.xlen(dead.dead) > 0, "there are dead letters")

    async def lost_connections(self) -> None:
        """The server closes all connections, several times."""
        with self.plant.server.client() as foreign:
            for _ in range(5):
                foreign.client_kill_filter(_type="normal", skipme=True)  # pyright: ignore[reportUnknownMemberType]
                await anyio.sleep(0.3)

    async def refused_payload(self) -> None:
        """A result that is larger than allowed."""
        await _ended(await self.client.start("boast", 200_000))
        await _ended(await self.client.start("boast", 50_000))

    async def long_history(self) -> None:
        """A history near its cap."""
        await _ended(await self.client.start("greet_all", [f"guest {number}" for number in range(17)]))

    async def bad_deploy(self) -> None:
        """Poison and nondeterminism. An instance ends every worker that takes it, until it is quarantined; the workers
        that take their place find others whose histories their code disagrees with. A repair heals all."""
        fickle = [f"fickle-{number}" for number in range(5)]
        bomb = "bomb"
        for instance in fickle:
            await self.client.start("fickle", instance_id=instance)
        for instance in fickle:
            await until(lambda instance=instance: self._waits(instance), "it waits", PATIENCE_S)
        self.plant.gate("fickle").touch()
        await self.client.start("detonate", instance_id=bomb)
        await until(self._all_ended, "all workers are killed", PATIENCE_S)
        await self.begin()
        for instance in fickle:
            await self.client.raise_event(instance, "Go", "now")
        for instance in (bomb, fickle[0]):
            await until(
                lambda instance=instance: self._is_quarantined(instance), f"{instance} is quarantined", PATIENCE_S
            )
        self.plant.gate("antidote").touch()
        self.plant.gate("fickle").unlink()
        for instance in (bomb, *fickle):
            await until(lambda instance=instance: self._is_healed(instance), f"{instance} is healed", PATIENCE_S)
        self.plant.gate("antidote").unlink()

    async def late_timers(self) -> None:
        """All workers stand still while timers are due."""
        for worker in self.workers:
            worker.send(signal.SIGSTOP)
        delay = timedelta(seconds=1)
        handles = [await self.client.start("count_down", 15, delay=delay) for _ in range(10)]
        await anyio.sleep(STANDSTILL_S)
        for worker in self.workers:
            worker.send(signal.SIGCONT)
        for handle in handles:
            await _ended(handle)

    async def fenced_commit(self) -> None:
        """A worker stands still in the midst of a turn, until another one has taken it."""
        handle = await self.client.start("toil")
        await until(lambda: any(worker.stands_still for worker in self.workers), "a worker stands still in its turn")
        (zombie,) = [worker for worker in self.workers if worker.stands_still]
        await _ended(handle)
        zombie.send(signal.SIGCONT)

        async def is_fenced() -> bool:
            return await zombie.metric("redurable_turns_total", result="fenced", type="toil") > 0

        await until(is_fenced, "its commit is fenced")

    async def _work_on(self, step: Callable[[], Awaitable[None]]) -> None:
        while True:
            await step()
            await anyio.sleep(PAUSE_S)

    async def _play_the_gallery(self) -> None:
        starts: list[tuple[Any, ...]] = [
            ("greet_all", ["Porto", "Riga"]),
            ("bill", "Ada"),
            ("bill", "Grace"),
            ("buy", "chair"),
            ("book_journey", ["flight to Lima", "hotel in Lima", "car in Lima"]),
            ("convert", 100, "XAF"),
            ("convert", 100, "MOON"),
            ("audit", "XAF"),
            ("newsletter", 40),
            *(("exhibit", name) for name in GALLERY),
        ]
        handles = [await self.client.start(*start) for start in starts]
        canceled = await self.client.start("book_journey", ["flight to Riga"])
        await self.client.cancel(canceled.instance_id, "ill")
        terminated = await self.client.start("book_journey", ["flight to Oslo"])
        await self.client.terminate(terminated.instance_id, "war")
        await asyncio.gather(*(_ended(handle, NOT_LONG_S) for handle in (*handles, canceled)))
        if await _ended(terminated, NOT_LONG_S):
            await self.client.purge(terminated.instance_id)

    async def _keep_a_shelf(self) -> None:
        handle = await self.client.start("shelf", Stock(article="lamp", pieces=12))
        for number in range(25):
            await self.client.raise_event(handle.instance_id, "Movement", -2, event_id=f"customer-{number % 24}")
        await self.client.raise_event(handle.instance_id, "Movement", 0)
        await _ended(handle, NOT_LONG_S)

    def _all_ended(self) -> bool:
        return all(worker.has_ended for worker in self.workers)

    async def _is_quarantined(self, instance: str) -> bool:
        return (await self.client.get_status(instance)).quarantined is not None

    async def _is_healed(self, instance: str) -> bool:
        """With two deliveries as the limit, one that was in the bomb's company may be blamed, too, and that only when
        its turn comes: whoever is quarantined then is redriven, however often."""
        status = await self.client.get_status(instance)
        if status.quarantined is not None:
            with suppress(InstanceFinished):
                await self.client.redrive(instance)
        return status.runtime_status.finished

    async def _waits(self, instance: str) -> bool:
        rows = await self.client.get_history(instance)
        return any(type(row).__name__ == "ActivityCompleted" for row in rows)


async def _ended(handle: Handle[Any], most: float = 0) -> bool:
    """Wait for the end, whatever it is. `most`: say False after so many seconds, because a fault may have hit the
    instance, too."""
    try:
        await handle.result(timeout=most or PATIENCE_S)
    except OrchestrationEnded:
        return True
    except TimeoutError:
        if not most:
            raise
        return False
    return True
