"""A gallery of retry policies, back-offs and timeouts: one orchestration for each, and when its attempts began.

What to look at: all orchestrations run the same code, an activity that fails in some way; the options of the call are
all that differs. The history tells of every attempt; the program prints when it began, in seconds after the call, and
how it ended. (The intervals are tenths of seconds so that you need not wait; the tests check them to the millisecond.)

$ python examples/retry_gallery.py
"""

from __future__ import annotations

import asyncio
from datetime import timedelta

from redurable import ActivityContext, ActivityFailed, App, Backoff, Client, OrchestrationContext, RetryPolicy, Worker

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
async def hangs() -> str:
    """Goes on for an hour."""
    await asyncio.sleep(3600)
    return "done"


FIXED = RetryPolicy(max_attempts=4, initial_interval=TENTH, backoff=Backoff.FIXED)
LINEAR = RetryPolicy(max_attempts=4, initial_interval=TENTH, backoff=Backoff.LINEAR)
EXPONENTIAL = RetryPolicy(max_attempts=4, initial_interval=TENTH, coefficient=2.0)
CAPPED = RetryPolicy(max_attempts=4, initial_interval=TENTH, coefficient=4.0, max_interval=3 * TENTH)
JITTER = RetryPolicy(max_attempts=4, initial_interval=TENTH, backoff=Backoff.FIXED, jitter=0.5)
TWICE = RetryPolicy(max_attempts=2, initial_interval=TENTH)
ONCE = RetryPolicy(max_attempts=1)
NOT_THAT = RetryPolicy(max_attempts=4, initial_interval=TENTH, non_retryable=[ValueError])

GALLERY = {
    "fixed": flaky.options(retry=FIXED),
    "linear": flaky.options(retry=LINEAR),
    "exponential": flaky.options(retry=EXPONENTIAL),
    "capped": flaky.options(retry=CAPPED),
    "jitter": flaky.options(retry=JITTER),
    "gives up": flaky.options(retry=TWICE),
    "no retry": flaky.options(retry=ONCE),
    "non-retryable": broken.options(retry=NOT_THAT),
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
