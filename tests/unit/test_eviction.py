"""Evicted code never runs again: not its `finally`, not its context managers, not its generators."""

from __future__ import annotations

import asyncio
import contextlib
import gc
from collections.abc import AsyncGenerator, Generator

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
