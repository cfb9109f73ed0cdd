"""What a test of an alert is: series of a metric, minute by minute, and whether it fires at the end.

Values are in promtool's notation: `0+2x30` is 0, 2, 4 … 60, `5x30` is 31 times 5, `_x30` nothing 30 times, and `stale`
what Prometheus notes when a target is gone.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct


class Case(Struct, frozen=True):
    """`labels` are those of the alert that fires; None: it does not fire."""

    alert: str
    why: str
    series: Mapping[str, str]
    labels: Mapping[str, str] | None = None
    at: str = "60m"


class Scene(Struct, frozen=True):
    """What happens to healthy hubs; no alert at all fires at these times."""

    name: str
    series: Mapping[str, str]
    at: tuple[str, ...]


def fires(alert: str, why: str, series: Mapping[str, str], at: str = "60m", **labels: str) -> Case:
    """The alert fires, with these labels."""
    return Case(alert, why, series, {"hub": "shop", **labels}, at)


def silent(alert: str, why: str, series: Mapping[str, str], at: str = "60m") -> Case:
    """The alert does not fire."""
    return Case(alert, why, series, None, at)


def of(metric: str, values: str, **labels: str) -> dict[str, str]:
    """A series of redurable, in the hub `shop`."""
    named = {"hub": "shop", **labels}
    inside = ", ".join(f'{name}="{value}"' for name, value in named.items())
    return {f"redurable_{metric}{{{inside}}}": values}


def histogram(metric: str, counts: Mapping[str, str], **labels: str) -> dict[str, str]:
    """The buckets of a histogram, each with its values, and what is counted in all: the last."""
    found: dict[str, str] = {}
    for bucket, values in counts.items():
        found |= of(f"{metric}_bucket", values, **labels, le=bucket)
    return found | of(f"{metric}_count", list(counts.values())[-1], **labels)
