"""What `helm test` runs: an orchestration in the release's hub, by a worker and a client of its own.

Its orchestrator has a name that no other worker knows, so that it comes here whoever receives it first.
"""

import asyncio
import os

from redurable import App, Client, OrchestrationContext, Worker

app = App("release-test")


@app.activity(name="redurable.release_test.double", task_queue="redurable-release-test")
async def double(number: int) -> int:
    return 2 * number


@app.orchestrator(name="redurable.release_test")
async def calculate(ctx: OrchestrationContext, number: int) -> int:
    await asyncio.sleep(0.1)  # A durable timer.
    return await ctx.call_activity(double, number)


async def main() -> None:
    hub = os.environ["REDURABLE_HUB"]
    async with Worker(app, hub=hub).running(), Client(hub=hub) as client:
        handle = await client.start(calculate, 21)
        result = await handle.result(timeout=60)
        await client.purge(handle.instance_id)
    if result != 42:
        raise SystemExit(f"the orchestration returned {result}, not 42")
    print(f"hub {hub}: an orchestration ran from its start to its result")


asyncio.run(main())
