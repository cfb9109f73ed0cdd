"""A gallery of retry policies, back-offs and timeouts: one orchestration for each, and when its attempts began.

What to look at: all orchestrations run the same code, an activity that fails in some way; the options of the call are
all that differs. The history tells of every attempt; the program prints when it began, in seconds after the call, and
how it ended. (The intervals are tenths of seconds so that you need not wait; the tests check them to the millisecond.)

$ python examples/retry_gallery.py
"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from functools import partial

from redurable import (
    ActivityContext,
    ActivityFailed,
    App,
    Backoff,
    Client,
    OrchestrationContext,
    RetryAfter,
    RetryPolicy,
    Worker,
)

app = App("retry-gallery")

TENTH = timedelta(milliseconds=100)


@app.activity
async def flaky() -> str:
    """Fails three times."""
    attempt = ActivityContext.current().attempt
    if attempt <= 3:
        raise ConnectionError("nobody there")
    return f"attempt {attempt} succeeded"


@app.activity
async def broken() -> str:
    """Fails for a reason that will not go away."""
    raise ValueError("the address is wrong")


@app.activity
async def busy() -> str:
    """Says itself when to come back."""
    if ActivityContext.current().attempt == 1:
        raise RetryAfter(5 * TENTH)
    return "attempt 2 succeeded"


@app.activity(retry_if=lambda error: "try again" in str(error))
async def choosy() -> str:
    """Its own function decides about errors, here by their text."""
    raise ConnectionError("try again" if ActivityContext.current().attempt == 1 else "the number has changed")


@app.activity
async def hangs() -> str:
    """Goes on for an hour."""
    await asyncio.sleep(3600)
    return "done"


FOUR = partial(RetryPolicy, max_attempts=4, initial_interval=TENTH)
FIXED = FOUR(backoff=Backoff.FIXED)
TWICE = FOUR(max_attempts=2)

GALLERY = {
    "fixed": flaky.options(retry=FIXED),
    "linear": flaky.options(retry=FOUR(backoff=Backoff.LINEAR)),
    "exponential": flaky.options(retry=FOUR(coefficient=2.0)),
    "capped": flaky.options(retry=FOUR(coefficient=4.0, max_interval=3 * TENTH)),
    "jitter": flaky.options(retry=FOUR(backoff=Backoff.FIXED, jitter=0.5)),
    "gives up": flaky.options(retry=TWICE),
    "no retry": flaky.options(retry=RetryPolicy(max_attempts=1)),
    "total time": flaky.options(retry=FOUR(backoff=Backoff.FIXED, retry_timeout=2.5 * TENTH)),
    "retry after": busy.options(retry=FIXED),
    "retry if": choosy.options(retry=FIXED),
    "non-retryable": broken.options(retry=FOUR(non_retryable=[ValueError])),
    "start to close": hangs.options(retry=TWICE, start_to_close_timeout=2 * TENTH),
    "heartbeat": hangs.options(retry=TWICE, heartbeat_timeout=2 * TENTH),
    "schedule to close": hangs.options(
        retry=FIXED, start_to_close_timeout=2 * TENTH, schedule_to_close_timeout=4 * TENTH
    ),
    "schedule to start": flaky.options(task_queue="nobody's", schedule_to_start_timeout=2 * TENTH),
}


@app.orchestrator
async def exhibit(ctx: OrchestrationContext, name: str) -> str:
    """One call with the options of that name; what comes of it, as text."""
    try:
        return await ctx.call_activity(GALLERY[name])
    except ActivityFailed as error:
        return f"failed with {error.type}, attempts: {error.attempts}"


async def attempts(client: Client, instance: str) -> list[str]:
    """When each attempt began, in seconds after the call, and how it ended."""
    told, called = list[str](), 0
    for row in await client.get_history(instance):
        match type(row).__name__:
            case "ActivityScheduled":
                called = row.at
            case "ActivityStarted":
                told.append(f"{(row.at - called) / 1000:.2f}s")
            case "ActivityAttemptFailed":
                told[-1] += " failed"
            case "ActivityAttemptTimedOut":
                told[-1] += " timed out"
            case "ActivityCompleted":
                told[-1] += " ok"
            case "ActivityFailed":
                told.append("the end")
            case _:
                pass
    return told


async def main() -> None:
    """All of them at once."""
    async with Worker(app).running(), Client(hub=app.name) as client:
        handles = {name: await client.start(exhibit, name) for name in GALLERY}
        for name, handle in handles.items():
            print(f"{name + ':':18} {await handle.result(timeout=30)}")
            print(f"{'':18} {', '.join(await attempts(client, handle.instance_id))}")


if __name__ == "__main__":
    asyncio.run(main())
