"""Continue-as-new on real servers: what goes on, what is left behind, and what is kept of it."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from redurable import App, Client, InstanceNotFound, OrchestrationContext, Worker
from redurable.core.events import ExecutionContinuedAsNew, ExecutionStarted, HistoryRow
from redurable.core.values import RuntimeStatus
from redurable.settings import WorkerSettings
from redurable.store.redis.lane import Lane
from redurable.store.redis.store import RedisStore
from tests.support.processes import until
from tests.support.servers import Server
from tests.support.working import working

app = App("rounds")
gates = {number: threading.Event() for number in range(3)}
ended: list[int] = []


@app.activity
def hold(number: int) -> int:
    """Returns when its gate is open; a thread, which nothing can stop before."""
    gates[number].wait(20)
    ended.append(number)
    return number


@app.orchestrator
async def child(ctx: OrchestrationContext) -> str:
    return await ctx.wait_for_external_event("Done", str)


@app.orchestrator
async def busy(ctx: OrchestrationContext, number: int) -> list[Any]:
    """Leaves much open in its first two executions."""
    if number < 2:
        ctx.set_custom_status(f"round {number}")
        ctx.call_activity(hold.options(schedule_to_close_timeout=timedelta(hours=1)), number)
        ctx.create_timer(timedelta(hours=1))
        ctx.call_sub_orchestrator(child, instance_id=f"child-{number}")
        await ctx.wait_for_external_event("Next")
        ctx.continue_as_new(number + 1)
    return [await ctx.call_activity(hold, number), await ctx.wait_for_external_event("Note", str)]


@app.orchestrator
async def count_down(ctx: OrchestrationContext, left: int) -> str:
    if left:
        ctx.continue_as_new(left - 1)
    return "zero"


@pytest.fixture
async def client(server: Server, hub: str, store: RedisStore) -> AsyncIterator[Client]:
    """A client of a hub that a worker serves; it keeps few executions."""
    _set_gates(False)
    ended.clear()
    async with (
        working(Worker(app, server.url, hub=hub, settings=WorkerSettings(kept_executions=5))),
        Client.from_store(store) as connected,
    ):
        yield connected
        _set_gates(True)


def _set_gates(opened: bool) -> None:
    for gate in gates.values():
        gate.set() if opened else gate.clear()


async def third_execution(client: Client) -> list[str]:
    """Let instance `one` come to its third execution; return the ids of all."""

    async def is_waiting() -> bool:
        return (await client.get_status("one")).custom_status == f"round {number}"

    async def is_there() -> bool:
        return len(await client.list_executions("one")) == 3

    for number in range(2):
        await until(is_waiting, f"round {number}")
        await client.raise_event("one", "Next")
    await until(is_there, "the third execution")
    return await client.list_executions("one")


async def is_running(client: Client, instance: str) -> bool:
    try:
        return (await client.get_status(instance)).runtime_status == RuntimeStatus.RUNNING
    except InstanceNotFound:
        return False  # Its start is on the way.


async def test_what_goes_on_and_what_is_left_behind(client: Client, store: RedisStore) -> None:
    handle = await client.start(busy, 0, instance_id="one", tags={"tenant": "acme"})
    await client.raise_event("one", "Note", "kept")
    executions = await third_execution(client)
    assert await handle.result(timeout=10, follow=False) is None
    for number in range(2):
        gates[number].set()
    await until(lambda: set(ended) == {0, 1}, "the activities of the past end")
    gates[2].set()
    assert await handle.result(timeout=10) == [2, "kept"]

    status = await client.get_status("one")
    assert (status.custom_status, status.tags, status.execution) == ("round 1", {"tenant": "acme"}, executions[-1])
    histories = [await client.get_history("one", execution) for execution in executions]
    assert [history[0].number for history in histories if isinstance(history[0], ExecutionStarted)] == [1, 2, 3]
    ends = [history[-1] for history in histories]
    assert [end.next for end in ends if isinstance(end, ExecutionContinuedAsNew)] == executions[1:]
    kinds = [{type(event).__name__ for event in history} for history in histories]
    assert ["ActivityCompleted" in kind for kind in kinds] == [False, False, True]
    assert (await store.upcoming(range(store.partitions), 7_200_000, 10)).timers == ()


async def test_open_children_go_on_and_report_to_nobody(client: Client) -> None:
    await client.start(busy, 0, instance_id="one")
    executions = await third_execution(client)
    for number in range(2):
        name = f"child-{number}"
        await until(lambda name=name: is_running(client, name), f"{name} runs")
        await client.raise_event(name, "Done", "well")
        assert await client.get_handle(name).result(timeout=10) == "well"
    _set_gates(True)
    await client.raise_event("one", "Note", "n")
    assert await client.get_handle("one").result(timeout=10) == [2, "n"]
    for execution in executions:
        kinds = [type(event).__name__ for event in await client.get_history("one", execution)]
        assert "SubOrchestrationCompleted" not in kinds


async def test_some_executions_are_kept_and_purge_deletes_them_all(client: Client, foreign: Lane, hub: str) -> None:
    handle = await client.start(count_down, 40, instance_id="down")
    assert await handle.result(timeout=10) == "zero"

    executions: list[str] = []
    firsts: list[HistoryRow] = []

    async def is_pruned() -> bool:
        executions[:] = await client.list_executions("down")
        if len(executions) > 8:
            return False
        try:
            firsts[:] = [(await client.get_history("down", execution))[0] for execution in executions]
        except InstanceNotFound:
            return False  # The workers still forget; one has gone since they were listed.
        return True

    await until(is_pruned, "past executions are forgotten")
    assert executions[0] == handle.execution
    numbers = [first.number for first in firsts if isinstance(first, ExecutionStarted)]
    assert numbers == [1, *range(43 - len(numbers), 42)]
    assert len(numbers) >= 1 + 5 + 1
    await client.purge("down")
    assert [key for key in await foreign.call("KEYS", f"rd:{{{hub}*") if key.endswith(b":down")] == []
    with pytest.raises(InstanceNotFound):
        await client.list_executions("down")
