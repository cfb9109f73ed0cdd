"""Every asyncio primitive that makes sense behaves as in asyncio and survives replay: see `tests/support/programs`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable
from typing import Any

import pytest

from redurable.core.messages import RaiseEvent
from tests.support.programs import Program, Programs, check, name_of, number
from tests.support.story import Ctx, Story, raw

programs = Programs()
program = programs.add


@program([0, 10, 20])
async def gather(ctx: Ctx) -> Any:
    return await asyncio.gather(*(number(ctx, n * 10) for n in range(3)))


@program(["1", "ValueError"])
async def gather_with_exceptions(ctx: Ctx) -> Any:
    async def bad() -> int:
        raise ValueError

    results = await asyncio.gather(number(ctx, 1), bad(), return_exceptions=True)
    return [type(r).__name__ if isinstance(r, Exception) else str(r) for r in results]


@program([[0], [0, 1, 2]])
async def wait(ctx: Ctx) -> Any:
    tasks = {asyncio.create_task(number(ctx, n)) for n in range(3)}
    first, rest = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    done, _ = await asyncio.wait(first | rest)
    return [[t.result() for t in first], sorted(t.result() for t in done)]


@program([[], 2])
async def wait_with_timeout(ctx: Ctx) -> Any:
    waits = [asyncio.ensure_future(ctx.event(name)) for name in ("a", "b")]
    done, pending = await asyncio.wait(waits, timeout=30)
    return [list(done), len(pending)]


@program([3, 1, 2])
async def as_completed(ctx: Ctx) -> Any:
    async def later(seconds: int) -> int:
        await asyncio.sleep({1: 20, 2: 30, 3: 10}[seconds])
        return seconds

    return [await item for item in asyncio.as_completed([later(n) for n in (1, 2, 3)])]


@program(["cancelled", 5])
async def shield(ctx: Ctx) -> Any:
    inner = asyncio.create_task(number(ctx, 5))
    outer = asyncio.ensure_future(asyncio.shield(inner))
    await asyncio.sleep(0)
    outer.cancel()
    try:
        await outer
    except asyncio.CancelledError:
        return ["cancelled", await inner]
    return "no"


@program(["timeout", 60])
async def timeouts(ctx: Ctx) -> Any:
    began = ctx.scope.clock
    try:
        async with asyncio.timeout(60):
            await ctx.event("never")
    except TimeoutError:
        return ["timeout", (ctx.scope.clock - began) // 1000]
    return "no"


@program(["rescheduled", 90])
async def timeout_rescheduled(ctx: Ctx) -> Any:
    began = ctx.scope.clock
    try:
        async with asyncio.timeout(60) as limit:
            limit.reschedule(asyncio.get_running_loop().time() + 90)
            await ctx.event("never")
    except TimeoutError:
        return ["rescheduled", (ctx.scope.clock - began) // 1000]
    return "no"


@program("timeout")
async def wait_for(ctx: Ctx) -> Any:
    try:
        await asyncio.wait_for(asyncio.sleep(100), 10)
    except TimeoutError:
        return "timeout"
    return "no"


@program([1, 2, "inner cancelled"])
async def task_group(ctx: Ctx) -> Any:
    log: list[Any] = []

    async def stubborn() -> None:
        try:
            await ctx.event("never")
        except asyncio.CancelledError:
            log.append("inner cancelled")
            raise

    async with asyncio.TaskGroup() as group:
        one, two = group.create_task(number(ctx, 1)), group.create_task(number(ctx, 2))
    log += [one.result(), two.result()]
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(stubborn())
            await asyncio.sleep(1)
            raise KeyError
    except* KeyError:
        pass
    return log


@program(["set", 7])
async def event(ctx: Ctx) -> Any:
    flag = asyncio.Event()

    async def setter() -> int:
        value = await number(ctx, 7)
        flag.set()
        return value

    task = asyncio.create_task(setter())
    await flag.wait()
    return ["set", await task]


@program([[0, 0], [0, 1], [1, 0], [1, 1]])
async def lock(ctx: Ctx) -> Any:
    held = asyncio.Lock()
    log: list[list[int]] = []

    async def worker(name: int) -> None:
        async with held:
            for step in range(2):
                await number(ctx, step)
                log.append([name, step])

    await asyncio.gather(worker(0), worker(1))
    return log


@program(2)
async def semaphore(ctx: Ctx) -> Any:
    slots, running, most = asyncio.Semaphore(2), 0, 0

    async def worker(n: int) -> None:
        nonlocal running, most
        async with slots:
            running += 1
            most = max(most, running)
            await number(ctx, n)
            running -= 1

    await asyncio.gather(*(worker(n) for n in range(5)))
    return most


@program([3, "notified"])
async def condition(ctx: Ctx) -> Any:
    state = asyncio.Condition()
    items: list[int] = []

    async def producer() -> None:
        for n in range(3):
            value = await number(ctx, n)
            async with state:
                items.append(value)
                state.notify_all()

    task = asyncio.create_task(producer())
    async with state:
        await state.wait_for(lambda: len(items) == 3)
    await task
    return [len(items), "notified"]


@program([0, 1, 2, 3])
async def queue(ctx: Ctx) -> Any:
    pipe: asyncio.Queue[int] = asyncio.Queue(maxsize=1)

    async def producer() -> None:
        for n in range(4):
            await pipe.put(await number(ctx, n))

    task = asyncio.create_task(producer())
    got = [await pipe.get() for _ in range(4)]
    await task
    return got


@program([0, 1, 2])
async def barrier(ctx: Ctx) -> Any:
    gate = asyncio.Barrier(3)

    async def worker(n: int) -> int:
        await number(ctx, n)
        return await gate.wait()

    return sorted(await asyncio.gather(*(worker(n) for n in range(3))))


@program([0, 1, "closed", 9])
async def async_generators(ctx: Ctx) -> Any:
    log: list[Any] = []

    async def items() -> AsyncGenerator[int, None]:
        try:
            for n in range(5):
                yield await number(ctx, n)
        finally:
            log.append("closed")
            log.append(await number(ctx, 9))

    generator = items()
    async for item in generator:
        log.append(item)
        if item == 1:
            break
    await generator.aclose()
    return log


@program(["compensated", 6])
async def finally_with_await_after_cancellation(ctx: Ctx) -> Any:
    log: list[Any] = []

    async def work() -> None:
        try:
            await ctx.event("never")
        finally:
            log.extend(["compensated", await number(ctx, 6)])

    task = asyncio.create_task(work())
    await asyncio.sleep(1)
    task.cancel()
    await asyncio.wait([task])
    return log


@program(["a", "b"])
async def names_of_tasks_do_not_depend_on_the_process(ctx: Ctx) -> Any:
    await ctx.activity(asyncio.create_task(asyncio.sleep(0)).get_name())
    return ["a", "b"]


@pytest.mark.parametrize(("body", "expected"), programs, ids=name_of)
def test_primitive(body: Program, expected: Any) -> None:
    check(body, expected)


def test_events_resolve_in_history_order_whoever_waits_first() -> None:
    async def race(ctx: Ctx) -> str:
        waits: list[Awaitable[str]] = [ctx.event("slow"), ctx.event("quick")]
        order = [await item for item in asyncio.as_completed(waits)]
        return f"[{','.join(order)}]"

    story = Story(race)
    assert (
        story.play(events=[RaiseEvent(name="quick", data=raw("1")), RaiseEvent(name="slow", data=raw("2"))]) == "[1,2]"
    )
