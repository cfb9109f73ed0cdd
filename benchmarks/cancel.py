"""How long until a running activity hears that its call was cancelled: from the client's request to the moment when the
activity's `finally` runs, one after the other. Leases are renewed every 1.5 s: what is quicker was told by the news."""

from __future__ import annotations

import time
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.app import hold
from benchmarks.bench import Bench, Running
from benchmarks.report import Figures, percentile


async def run(bench: Bench, notes: dict[str, str]) -> Figures:
    with TemporaryDirectory() as directory:
        async with bench.hub("cancel") as running:
            waits = [await _latency(running, Path(directory) / str(n)) for n in range(bench.sizes.latencies)]
    notes["cancel_p99_ms"] = f"of {len(waits)}, the slowest {max(waits) * 1000:.0f} ms"
    return {"cancel_p50_ms": percentile(waits, 50) * 1000, "cancel_p99_ms": percentile(waits, 99) * 1000}


async def _latency(running: Running, path: Path) -> float:
    async def begun() -> bool:
        return _read(path) is not None

    async def heard() -> bool:
        return bool(_read(path))

    handle = await running.client.start(hold, str(path))
    await running.until(begun, "the activity has begun")
    begin = time.monotonic()
    await handle.cancel()
    await running.until(heard, "the activity has heard")
    # Processes of one machine share this clock.
    return float(_read(path) or 0.0) - begin


def _read(path: Path) -> str | None:
    return path.read_text() if path.exists() else None
