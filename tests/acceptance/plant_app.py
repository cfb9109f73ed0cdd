"""The application of the acceptance tests: activities that leave a line in the effects file, orchestrators of every
shape whose results can be computed without running them."""

from __future__ import annotations

import asyncio
import os
import time
from datetime import timedelta
from pathlib import Path

from redurable import ActivityContext, App, OrchestrationContext, RetryPolicy
from redurable.demo.effects import EFFECTS_VARIABLE, record_effect

app = App("plant")


@app.activity
async def step(number: int) -> int:
    """The shortest of all activities."""
    record_effect("step")
    return number * 10


@app.activity
def press(number: int) -> int:
    """A plain function, run in a thread; it takes a moment."""
    record_effect("press")
    time.sleep(0.02)
    return number * number


@app.activity
async def hold(name: str) -> str:
    """Begins, waits until the gate of that name is open, and only then has its effect."""
    record_effect("hold begins")
    while not gate(name).exists():  # noqa: ASYNC110 - another process opens it
        await asyncio.sleep(0.01)
    record_effect("hold")
    return f"held {name}"


@app.activity
def grind(name: str) -> None:
    """A plain function that nothing can cancel, for as long as the gate of that name is closed."""
    record_effect("grind")
    while not gate(name).exists():
        time.sleep(0.01)


@app.activity
async def grind_elsewhere(name: str) -> None:
    """The same, in a thread of the event loop's own."""
    await asyncio.to_thread(grind, name)


@app.activity
async def mull(seconds: float) -> float:
    """Has its effect at once, and takes its time."""
    record_effect("mull")
    await asyncio.sleep(seconds)
    return seconds


@app.activity
async def count_pages(name: str) -> list[int]:
    """Says how far it is, and begins where the attempt before it was; the gate stands behind page 3."""
    context = ActivityContext.current()
    record_effect("count_pages")
    first: int = context.last_heartbeat or 0
    for page in range(first + 1, 6):
        context.heartbeat(page)
        while page == 3 and not gate(name).exists():  # noqa: ASYNC110 - another process opens it
            await asyncio.sleep(0.01)
    return [first, context.attempt]


@app.activity
async def ask(name: str) -> None:
    """Somebody else answers, who finds the token in the gate of that name."""
    record_effect("ask")
    gate(name).write_text(ActivityContext.current().complete_later())


def gate(name: str) -> Path:
    """A file beside the effects file; while it is missing, `hold` does not go on."""
    return Path(os.environ[EFFECTS_VARIABLE]).with_name(f"gate-{name}")


@app.orchestrator
async def chain(ctx: OrchestrationContext, length: int) -> list[int]:
    """One activity after the other."""
    return [await ctx.call_activity(step, number) for number in range(length)]


@app.orchestrator
async def held(ctx: OrchestrationContext, name: str) -> list[str]:
    """A short activity around one that waits for its gate."""
    await ctx.call_activity(step, 1)
    word = await ctx.call_activity(hold, name)
    await ctx.call_activity(step, 2)
    return [word]


@app.orchestrator
async def ground(ctx: OrchestrationContext, name: str, how: str) -> None:
    """One activity that cannot be cancelled."""
    await ctx.call_activity(how, name)


@app.orchestrator
async def asked(ctx: OrchestrationContext, name: str) -> str:
    """One activity that somebody else completes."""
    return await ctx.call_activity("ask", name, result_type=str)


@app.orchestrator
async def parley(ctx: OrchestrationContext) -> list[str]:
    """Two events, and an activity after each."""
    words: list[str] = []
    for name in ("First", "Second"):
        words.append(await ctx.wait_for_external_event(name, str))
        await ctx.call_activity(step, 1)
    return words


@app.orchestrator
async def reminded(ctx: OrchestrationContext, seconds: float) -> int:
    """A timer, and an activity when it has fired."""
    await ctx.create_timer(timedelta(seconds=seconds))
    return await ctx.call_activity(step, 1)


@app.orchestrator
async def read_book(ctx: OrchestrationContext, name: str) -> list[int]:
    """One activity that takes long."""
    return await ctx.call_activity(count_pages, name)


@app.orchestrator
async def detonate(ctx: OrchestrationContext, antidote: str) -> str:
    """Ends the process that runs it, until there is a gate of that name: the repaired code."""
    name = await ctx.wait_for_external_event("Go", str)
    if not gate(antidote).exists():
        os._exit(13)
    return f"{name} is harmless"


@app.orchestrator
async def square(ctx: OrchestrationContext, number: int) -> int:
    """The sub-orchestration."""
    return await ctx.call_activity(press, number)


@app.orchestrator
async def line(ctx: OrchestrationContext, number: int) -> int:
    """Everything at once: a chain, a timer, a fan, and a sub-orchestration in a partition of its own."""
    first = await ctx.call_activity(step, number)
    await ctx.create_timer(timedelta(milliseconds=50))
    fan = await asyncio.gather(*(ctx.call_activity(press, part) for part in range(3)))
    child = await ctx.call_sub_orchestrator(square, number, instance_id=child_of(ctx.instance_id))
    return first + sum(fan) + child


@app.orchestrator
async def ponder(ctx: OrchestrationContext, seconds: float) -> float:
    """Activities that take their time, one after the other and beside each other."""
    first = await ctx.call_activity(mull, seconds)
    return first + sum(await asyncio.gather(*(ctx.call_activity(mull, seconds) for _ in range(2))))


@app.activity(retry=RetryPolicy(max_attempts=3, initial_interval=timedelta(milliseconds=10)))
async def ship(number: int) -> int:
    """Fails until there is a gate named "repaired"."""
    if not gate("repaired").exists():
        raise RuntimeError("the lorry has broken down")
    record_effect("ship")
    return number


@app.orchestrator
async def parcel(ctx: OrchestrationContext, number: int) -> int:
    """The sub-orchestration of an order. Its code is wrong, too, until it is repaired."""
    packed = await ctx.call_activity(step, number)
    if not gate("repaired").exists():
        raise RuntimeError("a bug")
    return packed + await ctx.call_activity(ship, number)


@app.orchestrator
async def order(ctx: OrchestrationContext, number: int) -> int:
    """Something before, and beside it, a sub-orchestration and an activity that fail."""
    first = await ctx.call_activity(step, number)
    ends = await asyncio.gather(
        ctx.call_sub_orchestrator(parcel, number, instance_id=parcel_of(ctx.instance_id)),
        ctx.call_activity(ship, number),
        ctx.call_activity(press, number),
        return_exceptions=True,
    )
    for end in ends:
        if isinstance(end, BaseException):
            raise end
    return first + sum(end for end in ends if not isinstance(end, BaseException))


@app.orchestrator
async def eternal(ctx: OrchestrationContext, number: int, pauses: list[int]) -> str:
    """One execution a round, with an activity in every tenth; stands still at every pause until it is told to go on."""
    if number % 10 == 0:
        await ctx.call_activity(step, number)
    if number in pauses:
        ctx.set_custom_status(number)
        await ctx.wait_for_external_event(f"Go on from {number}")
    if number != pauses[-1]:
        ctx.continue_as_new(number + 1, pauses)
    return f"{number} rounds"


def child_of(instance: str) -> str:
    """The instance id of the sub-orchestration of a `line`."""
    return f"{instance}-square"


def parcel_of(instance: str) -> str:
    """The instance id of the sub-orchestration of an `order`."""
    return f"{instance}-parcel"


def line_result(number: int) -> int:
    """What `line` returns."""
    return number * 10 + 0 + 1 + 4 + number * number
