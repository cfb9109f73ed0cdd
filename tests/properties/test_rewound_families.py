"""A parent that is rewound, and children that anybody deletes or replaces at any time: nobody waits for ever.

Every verb is a step of its own, and messages are relayed one by one, so anything may come between any two of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import msgspec
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec import Raw

from redurable import App, OrchestrationContext, RetryPolicy
from redurable.core.delivery import Entry
from redurable.core.ids import partition_of
from redurable.core.messages import ActivityFailure, ActivityResult, StartExecution, Terminate
from redurable.core.rewinding import rewind
from redurable.core.turn import TurnInput, take_turn
from redurable.core.values import Arguments, Failure, RuntimeStatus
from redurable.store.families import purge_family
from redurable.store.memory import MemoryHub, MemoryStore
from redurable.store.port import StartRequest, TaskEnd
from redurable.store.queries import Standing
from redurable.testing.conformance import scenes
from tests.properties.bounds import tried
from tests.support.story import PARKING

app = App("families")
PARTITIONS = 4
KIDS = ("kid-1", "kid-2")
ROUNDS = 300
"""So many steps behind the script are enough for all that is under way."""


@app.activity(retry=RetryPolicy(max_attempts=1))
async def work() -> str:
    return ""


@app.orchestrator
async def kid(ctx: OrchestrationContext) -> str:
    return await ctx.call_activity(work)


@app.orchestrator
async def boss(ctx: OrchestrationContext) -> str:
    return "".join(await asyncio.gather(*(ctx.call_sub_orchestrator(kid, instance_id=name) for name in KIDS)))


class Hub:
    """A hub, and what may happen in it."""

    def __init__(self) -> None:
        self.store = MemoryStore(MemoryHub("families", PARTITIONS), "w1")
        self.heads = 0

    async def begin(self, instance: str, name: str, on_conflict: Any = "fail") -> None:
        self.heads += 1
        start = StartExecution(name=name, execution=f"x{self.heads}", call=Arguments())
        await self.store.start(StartRequest(instance, start, on_conflict))

    async def turn(self) -> bool:
        entries = await self.store.receive(range(PARTITIONS), 1, 0)
        for entry in entries:
            delivery = await scenes.checkout(self.store, entry)
            definition = {"boss": boss, "kid": kid}.get(delivery.name)
            self.heads += 1
            wanted = TurnInput(delivery, None, f"h{self.heads}", "3.11", PARKING)
            await scenes.accept(self.store, take_turn(definition and definition.definition, wanted).commit)
        return bool(entries)

    async def relay(self) -> bool:
        """One message of each partition."""
        return any([(await self.store.relay(number, 1)).count > 0 for number in range(PARTITIONS)])

    async def work(self, fails: bool = False) -> bool:
        leases = await self.store.receive_tasks(scenes.demand(1), 0)
        for lease in leases:
            execution, seq = lease.task.execution, lease.task.seq
            failure = ActivityFailure(execution=execution, seq=seq, failure=Failure("Broken", "it broke"))
            message = failure if fails else ActivityResult(execution=execution, seq=seq, result=Raw(b'"1"'))
            await self.store.complete([TaskEnd(lease, message)], [None])
        return bool(leases)

    async def fail(self) -> None:
        await self.work(fails=True)

    async def rewind(self, instance: str = "boss") -> None:
        entry = Entry(partition_of(instance, PARTITIONS), "0", instance)
        delivery = await scenes.checkout(self.store, entry)
        if delivery.status is RuntimeStatus.FAILED:
            self.heads += 1
            await scenes.accept(self.store, rewind(delivery, f"h{self.heads}", ""))

    async def purge(self, instance: str) -> None:
        await self.store.purge(instance)

    async def purge_family(self, instance: str) -> None:
        snapshot = await self.store.get(instance)
        if snapshot is not None and snapshot.status.finished:
            await purge_family(self.store, Standing(instance, snapshot.execution, snapshot.status))

    async def terminate(self, instance: str) -> None:
        await scenes.send(self.store, instance, Terminate())

    async def settle(self) -> None:
        for _ in range(ROUNDS):
            if not (await self.turn() or await self.relay() or await self.work()):
                return
        raise AssertionError("it never comes to rest")


ACTS: dict[str, Callable[[Hub, str], Coroutine[Any, Any, Any]]] = {
    "turn": lambda hub, _: hub.turn(),
    "relay": lambda hub, _: hub.relay(),
    "work": lambda hub, _: hub.work(),
    "fail": lambda hub, _: hub.fail(),
    "rewind": lambda hub, _: hub.rewind(),
    "rewind a child": lambda hub, name: hub.rewind(name),
    "purge": lambda hub, name: hub.purge(name),
    "purge all": lambda hub, _: hub.purge_family("boss"),
    "replace": lambda hub, name: hub.begin(name, "kid", "replace-finished"),
    "terminate": lambda hub, name: hub.terminate(name),
}
steps = st.lists(
    st.tuples(st.sampled_from(["turn", "relay", "rewind", *ACTS]), st.sampled_from(KIDS)), min_size=10, max_size=60
)


STOPPED_TWICE = "turn rewind replace turn work turn relay relay purge relay relay turn relay relay rewind"
"""A child is terminated before code has run, rewound, terminated again before it has run, and rewound once more."""


@tried(150)
@example([(act, "kid-1") for act in STOPPED_TWICE.split()])
@given(steps)
def test_nobody_waits_for_ever(script: list[tuple[str, str]]) -> None:
    asyncio.run(_live(script))


async def _live(script: list[tuple[str, str]]) -> None:
    hub = Hub()
    await hub.begin("boss", "boss")
    for _ in range(3):  # It has failed, as a rule, and there is something to go back to.
        await hub.turn()
        await hub.relay()
        await hub.fail()
    for act, name in script:
        await ACTS[act](hub, name)
    await hub.settle()
    for instance in ("boss", *KIDS):
        snapshot = await hub.store.get(instance)
        assert snapshot is None or snapshot.status.finished, (instance, msgspec.to_builtins(snapshot.status))
