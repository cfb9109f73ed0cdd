"""Evicted code never runs again: not its `finally`, not its context managers, not its generators."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gc
import weakref
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from typing import Any

import anyio
import pytest
from anyio.abc import TaskStatus

from redurable.core import eviction
from tests.support.story import Ctx, Story

ran: list[str] = []


@contextlib.contextmanager
def resource() -> Generator[None, None, None]:
    try:
        yield
    finally:
        ran.append("context manager")


@contextlib.asynccontextmanager
async def async_resource() -> AsyncGenerator[None, None]:
    try:
        yield
    finally:
        ran.append("async context manager")


async def numbers(ctx: Ctx) -> AsyncGenerator[str, None]:
    try:
        yield await ctx.activity("N")
    finally:
        ran.append("async generator")


async def nested(ctx: Ctx) -> None:
    try:
        with resource():
            async with async_resource():
                async for _ in numbers(ctx):
                    pass
    finally:
        ran.append("nested")


async def everything(ctx: Ctx) -> str:
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(nested(ctx))
            await ctx.activity("B")
    except BaseException:
        ran.append("except")
        raise
    finally:
        ran.append("finally")
    return "1"


def generator(name: str) -> Generator[int, None, None]:
    try:
        yield 1
        yield 2
    finally:
        ran.append(name)


class Holder:
    """An object of user code."""

    def __init__(self, begun: Generator[int, None, None]) -> None:
        next(begun)
        self.begun = begun


class Slotted:
    """Another one; what holds it is itself in an iterator."""

    __slots__ = ("begun",)

    def __init__(self, begun: Generator[int, None, None]) -> None:
        next(begun)
        self.begun = begun


class Awaits:
    """An awaitable of user code."""

    def __init__(self, ctx: Ctx) -> None:
        self.ctx = ctx

    def __await__(self) -> Generator[Any, Any, str]:
        try:
            return (yield from self.ctx.activity("A").__await__())
        finally:
            ran.append("__await__")


async def begun_elsewhere(ctx: Ctx) -> str:
    """Generators that hang on other objects than coroutines and containers."""
    holder, others = Holder(generator("in an object")), iter([Slotted(generator("in an iterator"))])
    queue: asyncio.Queue[Generator[int, None, None]] = asyncio.Queue()
    queue.put_nowait(Holder(generator("in a queue")).begun)
    step = functools.partial(next, Holder(generator("in a partial")).begun)
    for _ in zip(map(str, generator("in map")), enumerate(generator("in enumerate")), strict=False):
        with contextlib.ExitStack() as stack:
            stack.callback(ran.append, "callback")
            stack.enter_context(resource())
            await Awaits(ctx)
    return str((holder, others, queue, step))


def test_this_interpreter_is_supported() -> None:
    assert eviction.PROVEN


def test_no_user_code_runs_on_eviction() -> None:
    ran.clear()
    story = Story(everything)
    story.turn()
    story.forget()
    del story
    gc.collect()
    assert ran == []


def test_nor_does_any_generator_that_goes_with_it() -> None:
    ran.clear()
    story = Story(begun_elsewhere)
    story.turn()
    story.forget()
    del story
    gc.collect()
    assert ran == []


def test_what_somebody_else_refers_to_lives_on() -> None:
    shared = Holder(generator("shared"))

    async def body(ctx: Ctx) -> str:
        mine = shared
        await ctx.activity("A")
        return str(mine)

    ran.clear()
    story = Story(body)
    story.turn()
    story.forget()
    del story
    gc.collect()
    assert next(shared.begun) == 2
    assert ran == []


async def in_asyncio(ctx: Ctx) -> None:
    queue: asyncio.Queue[str] = asyncio.Queue()
    async with asyncio.timeout(60), asyncio.Lock(), asyncio.TaskGroup() as group:
        group.create_task(queue.get())
        group.create_task(_calls(ctx))
        await asyncio.gather(asyncio.shield(ctx.activity("B")), asyncio.Event().wait(), asyncio.sleep(5))


async def in_anyio(ctx: Ctx) -> None:
    send, receive = anyio.create_memory_object_stream[str]()
    with send, receive, anyio.fail_after(60), anyio.CancelScope(shield=True):
        async with anyio.create_task_group() as group, anyio.Lock(), anyio.Semaphore(1):
            group.start_soon(receive.receive)
            group.start_soon(_calls, ctx)
            group.start_soon(anyio.Event().wait)
            await group.start(_started, ctx)


async def _started(ctx: Ctx, *, task_status: TaskStatus[None]) -> None:
    task_status.started()
    with anyio.move_on_after(5):
        await ctx.activity("B")


async def _calls(ctx: Ctx) -> None:
    await ctx.activity("A")


@pytest.mark.parametrize("primitives", [in_asyncio, in_anyio])
def test_what_is_evicted_leaves_the_memory(primitives: Callable[[Ctx], Coroutine[Any, Any, None]]) -> None:
    kept: list[weakref.ref[Any]] = []

    async def body(ctx: Ctx) -> str:
        kept.append(weakref.ref(asyncio.current_task()))
        await primitives(ctx)
        return ""

    story = Story(body)
    story.turn()
    assert story.known
    story.forget()
    del story
    gc.collect()
    assert [ref() for ref in kept] == [None] * len(kept) != []


def test_streams_of_others_still_tell_that_nobody_closed_them() -> None:
    Story(in_anyio).turn()

    async def careless() -> None:
        anyio.create_memory_object_stream[str]()
        gc.collect()

    with pytest.warns(ResourceWarning, match="Unclosed <MemoryObject"):
        asyncio.run(careless())
