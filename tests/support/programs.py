"""Programs that run twice: durably, and on asyncio itself. Both must say what was expected.

A durable run goes to its end with its cached replay dropped every third turn, and each turn is also decided by a cold
replay: `Story` fails when the two differ. Activities return their input, one after the other.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine
from typing import Any

from tests.support.plain import run_plain
from tests.support.story import Ctx, Story

Program = Callable[[Ctx], Coroutine[Any, Any, Any]]


class Programs(list[tuple[Program, Any]]):
    """The programs of one module, each with its result."""

    def add(self, expected: Any) -> Callable[[Program], Program]:
        """Decorates a program."""

        def note(body: Program) -> Program:
            self.append((body, expected))
            return body

        return note


def name_of(value: object) -> str:
    """How pytest calls the case of a program."""
    return getattr(value, "__name__", "")


def check(body: Program, expected: Any) -> None:
    """Fail when either run says something else."""

    async def orchestrator(ctx: Ctx) -> str:
        return json.dumps(await body(ctx))

    assert run_plain(body) == expected, "not what asyncio does"
    assert json.loads(Story(orchestrator).play()) == expected


async def number(ctx: Ctx, value: int) -> int:
    """An activity's result."""
    return int(await ctx.activity("echo", str(value)))
