"""A worker in this process that works in the background of a test."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from redurable import Worker


@asynccontextmanager
async def working(worker: Worker) -> AsyncGenerator[Worker]:
    """Open it, and let it work as long as the block lasts, also one that fails.

    Unlike `Worker.running` this cancels nobody when the worker dies: a fixture's block is around other tests, too.
    """
    async with worker:
        running = asyncio.get_running_loop().create_task(worker.run())
        try:
            yield worker
        finally:
            worker.stop()
            await running
