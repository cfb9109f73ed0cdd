"""`python -m benchmarks.autoscale [--picture PATH] [--json PATH]`: a wave of load, and workers that come and go by it.

Real workers, scaled by the formula of KEDA and the HorizontalPodAutoscaler (scaling.py) from what a real
`redurable serve` says on /scaler; times of the chart divided by 20. Every result is compared, every activity must have
run exactly once, every worker must end in peace. After the wave, instances sleep on timers for longer than the
autoscaler needs to come down.

Twice: with one pod at least, and from none, with /scaler as the wake-up.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import anyio

from benchmarks import autoscale_app
from benchmarks.autoscale_picture import draw
from benchmarks.errors import BenchmarkFailed, check
from benchmarks.fleet import Fleet
from benchmarks.scaling import Autoscaler, Rule
from benchmarks.server import running_server
from redurable import Client
from redurable.client import Handle

HUB = "autoscale"
RESULT_SECONDS = 120.0
STEP = 0.1
"""Seconds between two looks of the load at its watch."""


@dataclass(frozen=True)
class Wave:
    """Instances a second: `low`, rising to `high` and falling again, for `seconds`. An activity takes `work` seconds; a
    worker has `slots`. Then `naps` instances sleep for `nap` seconds."""

    seconds: float = 80.0
    low: float = 1.0
    high: float = 9.0
    work: float = 0.5
    slots: int = 3
    naps: int = 5
    nap: float = 18.0

    def rate(self, at: float) -> float:
        """Instances a second at that time."""
        if not 0 <= at < self.seconds:
            return 0.0
        return self.low + (self.high - self.low) * math.sin(math.pi * at / self.seconds) ** 4


RULE = Rule(target=3, least=1, most=6, polling=0.25, stabilization=6.0, cooldown=15.0, period=0.75)
"""The chart's defaults, its times divided by 20; a small target, because a worker has few slots here."""


@dataclass(frozen=True)
class Sample:
    """One look of the autoscaler, and what it did: from `pods` to `wanted`. `ready` pods worked then."""

    at: float
    figure: float
    pods: int
    wanted: int
    ready: int


@dataclass
class Story:
    """What happened; times are seconds since it `began` (by the wall clock). `slept`: since when nothing but timers was
    open. `waits`: (when an activity started, how long after it was scheduled)."""

    began: float = 0.0
    slept: float = 0.0
    samples: list[Sample] = field(default_factory=list[Sample])
    waits: list[tuple[float, float]] = field(default_factory=list[tuple[float, float]])
    lateness: list[float] = field(default_factory=list[float])
    instances: int = 0
    started: int = 0

    @property
    def most(self) -> int:
        """The most pods."""
        return max(sample.wanted for sample in self.samples)

    def figures(self) -> dict[str, float]:
        """The story in a few figures."""
        waits = sorted(wait for _, wait in self.waits)
        return {
            "instances": self.instances,
            "activities": len(waits),
            "pods_started": self.started,
            "pods_most": self.most,
            "pods_last": self.samples[-1].wanted,
            "schedule_to_start_p50_s": round(quantile(waits, 0.5), 3),
            "schedule_to_start_p99_s": round(quantile(waits, 0.99), 3),
            "timer_late_most_s": round(max(self.lateness), 3),
        }


def quantile(ordered: Sequence[float], share: float) -> float:
    """A quantile of ordered values."""
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


class Simulation:
    """One wave under one rule, on a server of its own."""

    def __init__(self, rule: Rule, wave: Wave, directory: Path, address: str) -> None:
        self.rule, self.wave = rule, wave
        self._trace = directory / "trace"
        self._trace.touch()
        variables = {
            "REDURABLE_REDIS_URL": address,
            "REDURABLE_HUB": HUB,
            "REDURABLE_CONCURRENCY": str(wave.slots),
            autoscale_app.TRACE_VARIABLE: str(self._trace),
        }
        words = ["worker", f"{autoscale_app.__name__}:app", "--metrics-port", "0", "--until-stdin-closes"]
        self._fleet = Fleet(words, directory, variables)
        self._client = Client(address, hub=HUB)
        self._jobs: list[Handle[int]] = []

    async def run(self) -> Story:
        """Run it; raises `BenchmarkFailed` when anything is lost or doubled."""
        async with self._client, self._fleet.running():
            self._fleet.resize(self.rule.least)
            await self._fleet.until_ready()
            story = Story(began=time.time())
            async with anyio.create_task_group() as group:
                group.start_soon(self._scale, story)
                await self._load()
                await self._sleep(story)
                await self._until_quiet(story)
                group.cancel_scope.cancel()
            await self._fleet.all_ended()
        self._check_trace(story)
        story.instances, story.started = len(self._jobs) + self.wave.naps, self._fleet.started
        return story

    async def _scale(self, story: Story) -> None:
        scaler = Autoscaler(self.rule)
        while True:
            figure, pods = await self._fleet.figure(), self._fleet.size
            at = round(time.time() - story.began, 3)
            wanted = scaler.wanted(at, pods, figure)
            self._fleet.resize(wanted)
            story.samples.append(Sample(at, figure, pods, wanted, self._fleet.ready))
            await anyio.sleep(self.rule.polling)

    async def _load(self) -> None:
        """Start the wave, and compare every result."""
        wave, begin, before, owed = self.wave, time.time(), 0.0, 0.0
        while (at := time.time() - begin) < wave.seconds:
            owed += (at - before) * wave.rate(at)
            before = at
            for _ in range(int(owed)):
                number = len(self._jobs)
                self._jobs.append(
                    await self._client.start(autoscale_app.job, number, wave.work, instance_id=f"job-{number}")
                )
            owed -= int(owed)
            await anyio.sleep(STEP)
        for number, handle in enumerate(self._jobs):
            check(f"job {number}", await handle.result(timeout=RESULT_SECONDS), 2 * number)

    async def _sleep(self, story: Story) -> None:
        ids = [f"nap-{number}" for number in range(self.wave.naps)]
        handles = [await self._client.start(autoscale_app.nap, self.wave.nap, instance_id=nap) for nap in ids]
        story.slept = time.time() - story.began
        story.lateness = [await handle.result(timeout=RESULT_SECONDS) for handle in handles]

    async def _until_quiet(self, story: Story) -> None:
        """The autoscaler sees that nothing is left, and goes back to the fewest pods."""
        with anyio.move_on_after(10 * (self.rule.cooldown + self.rule.stabilization)):
            while story.samples[-1].wanted > self.rule.least:  # noqa: ASYNC110 - the autoscaler only looks, too
                await anyio.sleep(self.rule.polling)
            return
        raise BenchmarkFailed(f"{story.samples[-1]}: the autoscaler did not come back to {self.rule.least}")

    def _check_trace(self, story: Story) -> None:
        rows = [line.split("\t") for line in self._trace.read_text().splitlines()]
        story.waits = [(float(start) - story.began, float(start) - float(scheduled)) for _, scheduled, start in rows]
        check("activities", len(rows), 2 * len(self._jobs) + self.wave.naps)
        doubled = {key: count for key, count in Counter(key for key, _, _ in rows).items() if count > 1}
        check("activities that ran more than once", doubled, {})


async def simulate(rule: Rule, wave: Wave) -> Story:
    """The story of one wave, on a server that is started for it."""
    with running_server() as socket, tempfile.TemporaryDirectory(prefix="redurable-autoscale-") as directory:
        return await Simulation(rule, wave, Path(directory), f"unix://{socket}").run()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run both simulations as the command line says; return the exit code."""
    parser = argparse.ArgumentParser("python -m benchmarks.autoscale", description="Autoscaling, simulated.")
    parser.add_argument("--picture", type=Path, metavar="PATH", help="draw the first one into this SVG file")
    parser.add_argument("--json", type=Path, metavar="PATH", help="write the figures to this file, too")
    options = parser.parse_args(arguments)
    figures: dict[str, dict[str, float]] = {}
    try:
        for name, rule in (("at_least_one", RULE), ("from_zero", replace(RULE, least=0, cooldown=6.0))):
            story = anyio.run(simulate, rule, Wave())
            figures[name] = story.figures()
            if options.picture and name == "at_least_one":
                options.picture.write_text(draw(story.samples, story.waits))
            print(json.dumps({name: figures[name]}), flush=True)
    except BenchmarkFailed as error:
        print(f"the simulation failed: {error}", file=sys.stderr)
        return 1
    if options.json:
        options.json.write_text(json.dumps(figures) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
