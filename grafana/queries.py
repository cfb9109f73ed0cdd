"""PromQL in the shapes that the dashboards use.

Rates are summed, because each worker counts for itself. What is said of the whole hub comes from one elected worker at
a time: for a moment two may say it, so it is `max by`, never a sum.
"""

from __future__ import annotations

HUB = 'hub=~"$hub"'
TYPE = f'{HUB}, type=~"$type"'
QUEUE = f'{HUB}, queue=~"$queue"'
WORKER = f'{HUB}, instance=~"$instance"'

RECENTLY = "$__rate_interval"
SHOWN = "$__range"
"""The time that the dashboard shows."""


def rate(metric: str, by: str = "", where: str = HUB) -> str:
    """A counter's increments per second."""
    return f"sum{_by(by)} (rate({metric}{{{where}}}[{RECENTLY}]))"


def increase(metric: str, by: str = "", where: str = HUB) -> str:
    """A counter's increments in the time that is shown."""
    return f"sum{_by(by)} (increase({metric}{{{where}}}[{SHOWN}]))"


def quantile(q: float, metric: str, by: str = "", where: str = HUB, over: str = RECENTLY) -> str:
    """Of a histogram: what the share `q` of all observations does not exceed."""
    labels = f"{by}, le" if by else "le"
    return f"histogram_quantile({q:g}, sum by ({labels}) (rate({metric}_bucket{{{where}}}[{over}])))"


def mean(metric: str, by: str = "", where: str = HUB, over: str = RECENTLY) -> str:
    """Of a histogram: the sum of the observations through their number."""
    each, number = (f"sum{_by(by)} (rate({metric}_{part}{{{where}}}[{over}]))" for part in ("sum", "count"))
    return f"{each} / ({number} > 0)"


def buckets(metric: str, where: str = HUB) -> str:
    """Of a histogram: how many observations fell into which bucket, for a heat map."""
    return f"sum by (le) (increase({metric}_bucket{{{where}}}[{RECENTLY}]))"


def of_hub(metric: str, by: str = "", where: str = HUB) -> str:
    """A gauge of the whole hub."""
    labels = f"hub, {by}" if by else "hub"
    return f"max by ({labels}) ({metric}{{{where}}})"


def total(metric: str, by: str = "", where: str = HUB) -> str:
    """A gauge of each worker, summed."""
    return f"sum{_by(by)} ({metric}{{{where}}})"


def or_zero(expr: str) -> str:
    """For numbers that must not be empty when there is nothing to be told."""
    return f"({expr}) or vector(0)"


def only_some(metric: str, by: str, where: str = HUB) -> str:
    """Increments per second of the series that have any, of many that hardly ever do; else a line at 0."""
    nothing = f'label_replace(sum(rate({metric}{{{where}}}[{RECENTLY}])) * 0, "{by}", "none", "", "")'
    return f"{rate(metric, by, where)} > 0 or {nothing}"


def _by(labels: str) -> str:
    return f" by ({labels})" if labels else ""
