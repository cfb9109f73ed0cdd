"""Hello: an orchestrator decides, an activity does, and the store remembers both.

What to look at: `greet_all` is an ordinary async function, and each of its calls is a step that is recorded. The
program prints the result, and then the record: the history of the instance, from which any worker could go on.

$ python examples/hello.py
"""

from __future__ import annotations

import asyncio

from redurable import App, Client, OrchestrationContext, Worker

app = App("hello")


@app.activity
def greet(name: str) -> str:
    """Whatever touches the world is an activity."""
    return f"Hello, {name}!"


@app.orchestrator
async def greet_all(ctx: OrchestrationContext, names: list[str]) -> list[str]:
    """One after the other."""
    return [await ctx.call_activity(greet, name) for name in names]


async def main() -> None:
    """A worker that runs the code and a client that asks for it; usually these are different processes."""
    async with Worker(app).running(), Client(hub=app.name) as client:
        handle = await client.start(greet_all, ["Porto", "Riga", "Lima"])
        for greeting in await handle.result(timeout=30):
            print(greeting)
        print("The history of the instance:")
        for event in await client.get_history(handle.instance_id):
            print(f"  {type(event).__name__}")


if __name__ == "__main__":
    asyncio.run(main())
