"""A hub on Valkey, two workers, the load, and a Prometheus that has scraped them: what the proof and the pictures are
made of."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
from msgspec import Struct

from grafana.model import Panel, Query
from tests.acceptance.kit import plant_on
from tests.monitoring.load import Load
from tests.monitoring.prometheus_server import PrometheusServer, Series
from tests.monitoring.promql import substituted
from tests.support.servers import Server
from tests.support.shops import closing, free_port

RATE_INTERVAL_S = 10
"""Long enough for two scrapes while a worker is replaced."""
LAST_SCRAPES_S = 3
MOST_POINTS = 80


class Proof(Struct, frozen=True):
    """What happened between `start` and `end` (Unix times), as Prometheus has it."""

    load: Load
    prometheus: PrometheusServer
    start: float
    end: float

    def asked(self, expr: str) -> str:
        """The query that Grafana would send for this time."""
        return substituted(expr, rate_interval=f"{RATE_INTERVAL_S}s", range=f"{int(self.end - self.start)}s")

    async def series(self, panel: Panel, query: Query) -> list[Series]:
        """What a query of a panel shows: a number, or lines.

        Raises:
            ValueError: Prometheus refuses the query.
        """
        expr = self.asked(query.expr)
        if panel.kind in ("table", "bargauge"):
            found = await self.prometheus.instant(expr, self.end)
        else:
            found = await self.prometheus.range(
                expr, self.start, self.end, max(1.0, (self.end - self.start) / MOST_POINTS)
            )
        return [series for series in found if series.points]


@asynccontextmanager
async def proven(program: str, hub: str, directory: Path, calm: float = 0) -> AsyncGenerator[Proof, None]:
    """`program` is Prometheus; the faults happen once, amid so many seconds in which nothing bad does."""
    ports = (free_port(), free_port())
    prometheus = PrometheusServer(program, directory, free_port(), ports)
    try:
        with closing(Server("valkey9")) as server:
            async with plant_on(server, hub, directory) as plant:
                load = Load(plant, ports)
                await load.begin()
                await prometheus.ready()
                start = time.time()
                await load.run(calm)
                await anyio.sleep(LAST_SCRAPES_S)
                yield Proof(load, prometheus, start, time.time())
    finally:
        prometheus.close()
