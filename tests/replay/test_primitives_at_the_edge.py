"""What asyncio's primitives do when something fails, is cancelled or times out: the same here, and after replays."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from typing import Any

import pytest

from tests.support.programs import Program, Programs, check, name_of, number
from tests.support.story import Ctx

programs = Programs()
program = programs.add


@program(["failed", ["0", "2"], "cancelled"])
async def gather_that_fails_and_one_that_is_cancelled(ctx: Ctx) -> Any:
    async def bad() -> None:
        await number(ctx, 1)
        raise KeyError

    calls: list[asyncio.Future[Any]] = [ctx.activity("a", "0"), asyncio.ensure_future(bad()), ctx.activity("c", "2")]
    log: list[Any] = []
    try:
        await asyncio.gather(*calls)
    except KeyError:
        log.append("failed")
    log.append([await calls[0], await calls[2]])
    group = asyncio.gather(ctx.event("never"), ctx.event("never either"))
    await asyncio.sleep(1)
    group.cancel()
    try:
        await group
    except asyncio.CancelledError:
        log.append("cancelled")
    return log


@program([["KeyError"], 1, True])
async def wait_for_the_first_exception(ctx: Ctx) -> Any:
    async def bad() -> None:
        await asyncio.sleep(5)
        raise KeyError

    tasks = [asyncio.create_task(bad()), asyncio.create_task(asyncio.sleep(9))]
    done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
    raised = [type(task.exception()).__name__ for task in done]
    for task in pending:
        task.cancel()
    await asyncio.wait(pending)
    return [raised, len(pending), tasks[1].cancelled()]


@program([1, "timeout"])
async def as_completed_with_timeout(ctx: Ctx) -> Any:
    log: list[Any] = []
    try:
        for item in asyncio.as_completed([number(ctx, 1), asyncio.sleep(100)], timeout=10):
            log.append(await item)  # noqa: PERF401 - the last one fails
    except TimeoutError:
        log.append("timeout")
    return log


@program(["inner", "outer", 30])
async def nested_timeouts(ctx: Ctx) -> Any:
    log: list[Any] = []
    began = asyncio.get_running_loop().time()
    try:
        async with asyncio.timeout(30):
            try:
                async with asyncio.timeout(10):
                    await asyncio.sleep(100)
            except TimeoutError:
                log.append("inner")
            await asyncio.sleep(100)
    except TimeoutError:
        log.append("outer")
    return [*log, round(asyncio.get_running_loop().time() - began)]


@program([[0, 1], "ValueError KeyError", "sibling cancelled"])
async def task_group_with_several_errors(ctx: Ctx) -> Any:
    log: list[Any] = []

    async def bad(error: type[Exception]) -> None:
        await number(ctx, 0)
        raise error

    async def sibling() -> None:
        try:
            await asyncio.sleep(100)
        except asyncio.CancelledError:
            log.append("sibling cancelled")
            raise ValueError from None

    async with asyncio.TaskGroup() as outer:
        tasks = [outer.create_task(number(ctx, n)) for n in range(2)]
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(sibling())
            group.create_task(bad(KeyError))
    except* (ValueError, KeyError) as errors:
        names = " ".join(sorted((type(error).__name__ for error in errors.exceptions), reverse=True))
        log.insert(0, names)
    return [[task.result() for task in tasks], *log]


@program(["cancelled by its parent", 3])
async def cancelling_and_uncancel(ctx: Ctx) -> Any:
    log: list[Any] = []

    async def child() -> None:
        me = asyncio.current_task()
        assert me is not None
        try:
            await ctx.event("never")
        except asyncio.CancelledError as error:
            log.append(error.args[0])
            me.uncancel()
        log.append(await number(ctx, 3))

    task = asyncio.create_task(child())
    await asyncio.sleep(1)
    task.cancel("cancelled by its parent")
    await task
    return log


@program([[3, 1, 2], [1, 2, 3], "full", "empty", "joined"])
async def other_queues(ctx: Ctx) -> Any:
    last: asyncio.LifoQueue[int] = asyncio.LifoQueue()
    least: asyncio.PriorityQueue[int] = asyncio.PriorityQueue(3)
    log: list[Any] = []
    for n in (2, 1, 3):
        value = await number(ctx, n)
        last.put_nowait(value)
        await least.put(value)
    log += [[last.get_nowait() for _ in range(3)], []]
    try:
        least.put_nowait(4)
    except asyncio.QueueFull:
        log.append("full")

    async def drain() -> None:
        while True:
            log[1].append(await least.get())
            await asyncio.sleep(1)
            least.task_done()

    task = asyncio.create_task(drain())
    await least.join()
    task.cancel()
    try:
        last.get_nowait()
    except asyncio.QueueEmpty:
        log.append("empty")
    return [*log, "joined"]


@program(["over-released", 1, "broken", "broken"])
async def bounded_semaphores_and_broken_barriers(ctx: Ctx) -> Any:
    slots = asyncio.BoundedSemaphore(1)
    gate = asyncio.Barrier(3)
    log: list[Any] = []
    async with slots:
        value = await number(ctx, 1)
    try:
        slots.release()
    except ValueError:
        log += ["over-released", value]

    async def pass_gate() -> None:
        try:
            await gate.wait()
        except asyncio.BrokenBarrierError:
            log.append("broken")

    tasks = [asyncio.create_task(pass_gate()) for _ in range(2)]
    await asyncio.sleep(1)
    await gate.abort()
    await asyncio.gather(*tasks)
    return log


@program(["timeout", "got it", False])
async def a_lock_that_is_waited_for_in_vain(ctx: Ctx) -> Any:
    held = asyncio.Lock()
    await held.acquire()
    try:
        await asyncio.wait_for(held.acquire(), 5)
    except TimeoutError:
        said = "timeout"
    else:
        said = "no"
    held.release()
    async with held:
        return [said, "got it", not held.locked()]


@program([["main", "task 1", "task 2"], "main", "set by callback"])
async def context_variables(ctx: Ctx) -> Any:
    name: contextvars.ContextVar[str] = contextvars.ContextVar("name", default="nobody")
    name.set("main")
    seen = [name.get()]

    async def work(mine: str) -> None:
        name.set(mine)
        await number(ctx, 1)
        seen.append(name.get())

    await asyncio.gather(work("task 1"), work("task 2"))
    own = contextvars.copy_context()
    task = asyncio.create_task(asyncio.sleep(1), context=own)
    task.add_done_callback(lambda _: name.set("set by callback"), context=own)
    await task
    await asyncio.sleep(0)
    return [seen, name.get(), own[name]]


@program(["later", "soon", "handle cancelled", 5])
async def callbacks_of_the_loop(ctx: Ctx) -> Any:
    loop = asyncio.get_running_loop()
    log: list[Any] = []
    began = loop.time()
    loop.call_later(2, log.insert, 0, "later")
    loop.call_at(began + 3, log.append, "soon")
    handle = loop.call_later(4, log.append, "never")
    await asyncio.sleep(1)
    handle.cancel()
    done = loop.create_future()
    loop.call_later(4, done.set_result, "handle cancelled" if handle.cancelled() else "no")
    log.append(await done)
    return [*log, round(loop.time() - began)]


@program(["Task-9", 2, True])
async def tasks_that_look_around(ctx: Ctx) -> Any:
    me = asyncio.current_task()
    assert me is not None
    me.set_name("Task-9")
    other = asyncio.create_task(number(ctx, 1), name="other")
    seen = len(asyncio.all_tasks())
    await other
    return [me.get_name(), seen, asyncio.get_running_loop() is me.get_loop()]


@program(["opened", 1, 2, "left", "entered", "closed"])
async def context_managers(ctx: Ctx) -> Any:
    log: list[Any] = []

    @asynccontextmanager
    async def resource(value: int) -> AsyncGenerator[int]:
        try:
            yield await number(ctx, value)
        finally:
            await asyncio.sleep(1)
            log.append("left" if value == 2 else "closed")

    log.append("opened")
    async with AsyncExitStack() as stack:
        log.append(await stack.enter_async_context(resource(1)))
        async with resource(2) as two:
            log.append(two)
        log.append("entered")
    return log


@program([0, "dropped"])
async def an_async_generator_that_is_dropped(ctx: Ctx) -> Any:
    log: list[Any] = []

    async def items() -> AsyncGenerator[int]:
        for n in range(5):
            yield await number(ctx, n)

    async for item in items():
        log.append(item)
        break
    await asyncio.sleep(1)
    return [*log, "dropped"]


@program([0, 10, 20])
async def an_async_comprehension_over_a_generator_that_is_sent_to(ctx: Ctx) -> Any:
    async def doubler() -> AsyncGenerator[int, int]:
        value = 0
        while True:
            value = yield await number(ctx, value * 10)

    generator = doubler()
    await anext(generator)
    async with aclosing(generator):
        return [0] + [await generator.asend(n) for n in (1, 2)]


@pytest.mark.parametrize(("body", "expected"), programs, ids=name_of)
def test_primitive(body: Program, expected: Any) -> None:
    check(body, expected)
