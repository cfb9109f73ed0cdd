"""Writes docs/metrics.md from the declarations of the metrics: `make docs`. A test fails when the page is not what this
makes.
"""

from __future__ import annotations

from pathlib import Path

from redurable.telemetry.metrics.board import PREFIX, Label, Metric
from redurable.telemetry.metrics.hub import TABLE as HUB
from redurable.telemetry.metrics.metrics import TABLES

PAGE = Path(__file__).parents[1] / "docs" / "metrics.md"

INTRO = """\
# Metrics

<!-- Made from redurable/telemetry/metrics/ by `make docs`: change the tables there, not this page. -->

What `redurable worker` serves at `/metrics` on port 9464. [Observability](observability.md) says how to scrape it, what
the labels are good for, and which worker shows the gauges of the whole hub.

Every metric has the label `hub`, beside those that are named here. Values of `type`, `activity` and `queue` are names
that the code of the worker registers; `queue` may also be one of the runtime's own streams: `_ready` (instances with
mail, so turns to take), `_handed`, `_intake`, `_outbox` and `_answers`. Whatever else comes counts as `_unknown`.
Histograms have the series `_bucket`, `_sum` and `_count`. Beside these, a worker serves what Prometheus' own library
tells of every Python process: `process_…`, `python_info` and `python_gc_…`.
"""

ONE_WORKER = "One worker of the hub shows these; the series vanish with it, and another one takes over.\n"
MOST_WORDS = 12


def page() -> str:
    """The whole page."""
    return "\n".join([INTRO, *(_section(title, table) for title, table in TABLES)])


def _section(title: str, table: tuple[Metric, ...]) -> str:
    notes = [ONE_WORKER] if table == tuple(metric for metric, _ in HUB) else []
    head = ["| metric | type | labels | meaning |", "|---|---|---|---|"]
    return "\n".join([f"## {title}", "", *notes, *head, *map(_row, table), ""])


def _row(metric: Metric) -> str:
    labels = "<br>".join(map(_label, metric.labels)) or "none"
    bounds = f" Up to {', '.join(f'{bound}' for bound in metric.buckets)}." if metric.buckets else ""
    return f"| `{metric.full_name}` | {metric.kind} | {labels} | {metric.text}{bounds} |"


def _label(label: Label) -> str:
    if label.registered or label.open or len(label.words) > MOST_WORDS:
        return f"`{label.name}`"
    return f"`{label.name}`: {', '.join(label.words)}"


def names() -> set[str]:
    """All metrics that the page tells of."""
    return {f"{PREFIX}{metric.name}" for _, table in TABLES for metric in table}


if __name__ == "__main__":
    PAGE.write_text(page())
