"""The figures of a run: a table for people, and one JSON object, always with the same keys, as the last line."""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

UNITS = {
    "hello_sequence_per_s": "orchestrations/s",
    "hello_sequence_p50_ms": "ms",
    "hello_sequence_p99_ms": "ms",
    "fan_out_1000_per_s": "activities/s",
    "fan_out_10000_per_s": "activities/s",
    "chain_500_per_s": "activities/s",
    "children_200_s": "s",
    "events_500_per_s": "events/s",
    "cancel_p50_ms": "ms",
    "cancel_p99_ms": "ms",
    "intake_per_s": "events/s",
    "sweep_redis_percent": "% of a core",
    "sweep_worker_percent": "% of a core",
    "sweep_busy_redis_percent": "% of a core",
    "sweep_busy_worker_percent": "% of a core",
    "sweep_heard_ms": "ms",
    "query_page_ms": "ms",
    "query_counts_ms": "ms",
    "index_start_percent": "%",
    "index_turn_percent": "%",
    "cold_replay_events_per_s": "events/s",
    "turn_us_at_10": "us",
    "turn_us_at_10000": "us",
    "floor_hello_per_s": "orchestrations/s",
    "floor_chain_per_s": "activities/s",
    "redis_xadd_p1_per_s": "commands/s",
}
KEYS = (*UNITS, "server_version", "appendfsync")
_WIDTH = max(map(len, KEYS))

Figures = dict[str, float]


@dataclass(frozen=True)
class Target:
    """`figure` divided by `base` must be at least `least`, or at most `most`; without a base the figure itself."""

    figure: str
    base: str = ""
    least: float | None = None
    most: float | None = None

    def judge(self, figures: Mapping[str, float]) -> str:
        """One line, or nothing when it was not measured."""
        value = figures.get(self.figure)
        if value is None or (self.base and not figures.get(self.base)):
            return ""
        ratio = value / figures[self.base] if self.base else value
        met = ratio >= self.least if self.least is not None else ratio <= (self.most or 0.0)
        wanted = f"at least {self.least:g}" if self.least is not None else f"at most {self.most:g}"
        name = f"{self.figure} / {self.base}" if self.base else self.figure
        return f"{'met   ' if met else 'MISSED'}  {name} = {ratio:.2f}, {wanted}"


TARGETS = (
    Target("hello_sequence_per_s", "floor_hello_per_s", least=0.40),
    Target("chain_500_per_s", "floor_chain_per_s", least=0.60),
    Target("hello_sequence_p50_ms", most=4.0),
    Target("cancel_p99_ms", most=100.0),
    Target("intake_per_s", least=5_000),
    Target("sweep_redis_percent", most=2.0),
    Target("sweep_worker_percent", most=3.0),
    Target("sweep_busy_redis_percent", most=2.0),
    Target("sweep_busy_worker_percent", most=3.0),
    Target("sweep_heard_ms", most=1_000.0),
    Target("query_page_ms", most=20.0),
    Target("index_start_percent", most=15.0),
    Target("index_turn_percent", most=15.0),
    Target("turn_us_at_10000", "turn_us_at_10", most=1.2),
)


def table(figures: Mapping[str, float], notes: Mapping[str, str]) -> str:
    """What was measured, with its unit and what there is to say about it; then the targets."""
    lines = [
        f"{key:<{_WIDTH}}  {_shown(figures[key]):>9} {unit:<17} {notes.get(key, '')}".rstrip()
        for key, unit in UNITS.items()
        if key in figures
    ]
    judged = [line for target in TARGETS if (line := target.judge(figures))]
    return "\n".join([*lines, "", *judged] if judged else lines)


def json_line(figures: Mapping[str, float], server_version: str, appendfsync: str) -> str:
    """All keys in their order; null for what was not measured in this run."""
    measured = {key: _rounded(figures[key]) if key in figures else None for key in UNITS}
    return json.dumps({**measured, "server_version": server_version, "appendfsync": appendfsync})


def percentile(values: Sequence[float], percent: int) -> float:
    """The value that `percent` % of the values (two or more) do not exceed."""
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]


def _rounded(value: float) -> float:
    return round(value, 3) if value < 100 else round(value)


def _shown(value: float) -> str:
    return f"{value:,.2f}" if value < 100 else f"{value:,.0f}"
