"""What a dashboard is made of, as frozen values; `to_json` knows what Grafana calls them."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

Kind = Literal["stat", "timeseries", "bargauge", "table", "heatmap"]

COLUMNS = 24
"""The width of a dashboard, in Grafana's units."""


class Step(Struct, frozen=True):
    """A colour, from this value on; the first step has none."""

    color: str
    value: float | None = None


NEUTRAL = (Step("blue"),)


def bad_from(red: float, yellow: float | None = None) -> tuple[Step, ...]:
    """Green, yellow from the one value, red from the other."""
    middle = () if yellow is None else (Step("yellow", yellow),)
    return (Step("green"), *middle, Step("red", red))


def bad_below(green: float) -> tuple[Step, ...]:
    """Red until this value is reached."""
    return (Step("red"), Step("green", green))


class Query(Struct, frozen=True):
    """PromQL, and what its series are called (a column's title, in a table)."""

    expr: str
    legend: str = ""
    unit: str = ""
    """Of a table's column, where it is not the panel's."""


class Panel(Struct, frozen=True):
    """`text` says what is seen, and what to do when it looks bad. Sizes in Grafana's units."""

    title: str
    text: str
    unit: str
    queries: tuple[Query, ...]
    kind: Kind = "timeseries"
    width: int = 8
    height: int = 8
    steps: tuple[Step, ...] = NEUTRAL
    stacked: bool = False
    decimals: int | None = None
    columns: tuple[str, ...] = ()
    """The labels that a table shows, in this order."""
    top: float | None = None
    """The greatest value that can be, where there is one."""


class Row(Struct, frozen=True):
    """Panels under a title, from left to right; the first row of a dashboard has none."""

    title: str
    panels: tuple[Panel, ...]


class Variable(Struct, frozen=True):
    """A choice at the top: the values of `label` of `metric`, several at a time."""

    name: str
    title: str
    metric: str
    text: str


class Dashboard(Struct, frozen=True):
    """`uid` is for ever: links and bookmarks hold it."""

    uid: str
    title: str
    text: str
    variables: tuple[Variable, ...]
    rows: tuple[Row, ...]

    @property
    def panels(self) -> tuple[Panel, ...]:
        """All panels in order."""
        return tuple(panel for row in self.rows for panel in row.panels)


def stat(
    title: str, text: str, unit: str, expr: str, *, steps: tuple[Step, ...] = NEUTRAL, decimals: int | None = None
) -> Panel:
    """A number of the row on top."""
    return Panel(title, text, unit, (Query(expr),), kind="stat", width=3, height=4, steps=steps, decimals=decimals)
