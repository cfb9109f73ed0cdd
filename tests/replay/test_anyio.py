"""Every anyio primitive that makes sense behaves as on asyncio and survives replay: see `tests/support/programs`."""

from __future__ import annotations

from typing import Any

import anyio
import anyio.lowlevel
import pytest
from anyio.abc import TaskStatus
from anyio.streams.memory import MemoryObjectSendStream

from tests.support.programs import Program, Programs, check, name_of, number
from tests.support.story import Ctx

programs = Programs()
program = programs.add


@program([4, 1])
async def anyio_task_group(ctx: Ctx) -> Any:
    results: list[int] = []

    async def worker(n: int) -> None:
        results.append(await number(ctx, n))

    async with anyio.create_task_group() as group:
        group.start_soon(worker, 4)
        group.start_soon(worker, 1)
    return results


@program(["caught", "compensated", 8])
async def anyio_cancel_scope_with_shielded_compensation(ctx: Ctx) -> Any:
    log: list[Any] = []
    with anyio.move_on_after(10) as scope:
        try:
            await ctx.event("never")
        finally:
            with anyio.CancelScope(shield=True):
                log = ["compensated", await number(ctx, 8)]
    return ["caught" if scope.cancelled_caught else "no", *log]


@program("timeout")
async def anyio_fail_after(ctx: Ctx) -> Any:
    try:
        with anyio.fail_after(10):
            await anyio.sleep(100)
    except TimeoutError:
        return "timeout"
    return "no"


@program(["set", 3])
async def anyio_event(ctx: Ctx) -> Any:
    flag = anyio.Event()
    seen: list[int] = []

    async def setter() -> None:
        seen.append(await number(ctx, 3))
        flag.set()

    async with anyio.create_task_group() as group:
        group.start_soon(setter)
        await flag.wait()
    return ["set", *seen]


@program([0, 1, 2])
async def anyio_memory_streams(ctx: Ctx) -> Any:
    send, receive = anyio.create_memory_object_stream[int](1)

    async def producer() -> None:
        async with send:
            for n in range(3):
                await send.send(await number(ctx, n))

    async with anyio.create_task_group() as group:
        group.start_soon(producer)
        async with receive:
            return [item async for item in receive]


@program([30, "moved on", True])
async def scopes_that_change_their_deadline(ctx: Ctx) -> Any:
    began = anyio.current_time()
    with anyio.CancelScope(deadline=began + 10) as scope:
        scope.deadline += 20
        await anyio.sleep_forever()
    took = round(anyio.current_time() - began)
    with anyio.move_on_after(5) as outer, anyio.fail_after(50):
        await anyio.sleep(100)
    return [took, "moved on" if outer.cancelled_caught else "no", anyio.current_effective_deadline() > began + 1e9]


@program(["started with 7", ["child cancelled"], "ValueError"])
async def task_groups_that_start_cancel_and_fail(ctx: Ctx) -> Any:
    log: list[Any] = []
    said = ""

    async def child(value: int, *, task_status: TaskStatus[int] = anyio.TASK_STATUS_IGNORED) -> None:
        task_status.started(await number(ctx, value))
        try:
            await anyio.sleep_forever()
        except anyio.get_cancelled_exc_class():
            log.append("child cancelled")
            raise

    async def bad() -> None:
        await number(ctx, 1)
        raise ValueError

    async with anyio.create_task_group() as group:
        said = f"started with {await group.start(child, 7)}"
        group.cancel_scope.cancel()
    raised = "nothing"
    try:
        async with anyio.create_task_group() as group:
            group.start_soon(bad)
            await anyio.sleep_forever()
    except* ValueError as errors:
        raised = type(errors.exceptions[0]).__name__
    return [said, log, raised]


@program([[0, 1, 2], 2, "would block", "notified"])
async def locks_and_limits(ctx: Ctx) -> Any:
    lock, limit, slots, state = anyio.Lock(), anyio.CapacityLimiter(2), anyio.Semaphore(2), anyio.Condition()
    order: list[int] = []
    most = 0

    async def worker(n: int) -> None:
        nonlocal most
        async with slots, limit:
            most = max(most, limit.borrowed_tokens)
            async with lock:
                order.append(await number(ctx, n))
            async with state:
                state.notify_all()

    async def watch() -> None:
        async with state:
            while len(order) < 3:
                await state.wait()

    async with anyio.create_task_group() as group:
        group.start_soon(watch)
        for n in range(3):
            group.start_soon(worker, n)
    async with lock:
        try:
            anyio.Semaphore(0).acquire_nowait()
        except anyio.WouldBlock:
            return [order, most, "would block", "notified"]
    return "no"


@program([["0 a", "1 b"], "end", "broken"])
async def memory_streams_with_clones(ctx: Ctx) -> Any:
    send, receive = anyio.create_memory_object_stream[str](0)
    got: list[str] = []

    async def producer(n: int, name: str, end: MemoryObjectSendStream[str]) -> None:
        async with end:
            await end.send(f"{await number(ctx, n)} {name}")

    async with anyio.create_task_group() as group:
        async with send:
            group.start_soon(producer, 0, "a", send.clone())
            group.start_soon(producer, 1, "b", send.clone())
        got += [await receive.receive() for _ in range(2)]
    try:
        await receive.receive()
    except anyio.EndOfStream:
        receive.close()
    late, closed = anyio.create_memory_object_stream[str](1)
    closed.close()
    try:
        await late.send("nobody listens")
    except anyio.BrokenResourceError:
        late.close()
        return [got, "end", "broken"]
    return "no"


@program([60, "checked", "name"])
async def sleeps_and_checkpoints(ctx: Ctx) -> Any:
    began = anyio.current_time()
    await anyio.sleep_until(began + 60)
    await anyio.lowlevel.checkpoint()

    async def named() -> None:
        names.append(anyio.get_current_task().name or "")

    names: list[str] = []
    async with anyio.create_task_group() as group:
        group.start_soon(named, name="name")
        await anyio.wait_all_tasks_blocked()
    return [round(anyio.current_time() - began), "checked", *names]


@pytest.mark.parametrize(("body", "expected"), programs, ids=name_of)
def test_primitive(body: Program, expected: Any) -> None:
    check(body, expected)
