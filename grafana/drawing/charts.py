"""The kinds of panels, each drawn into its place."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

from msgspec import Struct

from grafana.drawing.numbers import moments, ticks, written
from grafana.drawing.svg import (
    CHARACTER,
    FAINT,
    GRID,
    INK,
    NAMED,
    PALETTE,
    Box,
    area,
    curve,
    fitted,
    line,
    mixed,
    rectangle,
    text,
)
from grafana.model import Panel

SMALL = 10
GAP_S = 5.0
"""Points further apart are not joined."""
LEGEND_ROWS = 2


class Points(Protocol):
    """A series of an answer: its labels, and (Unix time, value) in order."""

    @property
    def labels(self) -> Mapping[str, str]: ...

    @property
    def points(self) -> tuple[tuple[float, float], ...]: ...


class Named(Struct, frozen=True):
    """A line of a chart."""

    name: str
    color: str
    points: tuple[tuple[float, float], ...]


class Shown(Struct, frozen=True):
    """A panel, the answers to its queries in order, and the time that they are of."""

    panel: Panel
    answers: tuple[Sequence[Points], ...]
    start: float
    end: float


def named(shown: Shown) -> list[Named]:
    """All lines of a panel, each with its name and colour."""
    found = [
        (_legend(query.legend, series.labels), series.points)
        for query, answer in zip(shown.panel.queries, shown.answers, strict=True)
        for series in answer
    ]
    return [Named(name, PALETTE[place % len(PALETTE)], points) for place, (name, points) in enumerate(found)]


def color_of(panel: Panel, value: float) -> str:
    """That of the last step which the value reaches."""
    return NAMED[[step.color for step in panel.steps if step.value is None or value >= step.value][-1]]


def draw_stat(shown: Shown, box: Box) -> Iterator[str]:
    """The last number, in its colour, over its course."""
    lines = named(shown)
    values = [value for _, value in lines[0].points]
    color = color_of(shown.panel, values[-1])
    top = max(*values, 0.0) or 1.0
    course = [
        (box.x + box.width * _part(at, shown), box.y + box.height * (1 - 0.45 * value / top))
        for at, value in lines[0].points
    ]
    floor = box.y + box.height
    if len(course) > 1:
        yield area(course, [(course[0][0], floor), (course[-1][0], floor)], color, 0.12)
        yield curve(course, color)
    words = written(values[-1], shown.panel.unit, shown.panel.decimals)
    size = int(min(30, box.width * 0.92 / (len(words) * CHARACTER)))
    yield text(box.x + box.width / 2, box.y + box.height / 2, words, size, color, "middle", bold=True)


def draw_lines(shown: Shown, box: Box) -> Iterator[str]:
    """Lines over time, stacked or not, with axes and a legend."""
    lines = [found for found in named(shown) if found.points]
    box = box.inset(0, 0, 0, SMALL * 1.5 * LEGEND_ROWS + 4)
    summed = _stacked(lines) if shown.panel.stacked else [(found, ()) for found in lines]
    highest = max((value for found, _ in summed for _, value in found.points), default=0.0)
    marks = ticks(max(highest, 1e-3) * 1.02, max(int(box.height / 40), 2), shown.panel.unit)
    if shown.panel.top is not None:
        marks = ticks(shown.panel.top, 4)
    labels = [written(mark, shown.panel.unit) for mark in marks]
    plot = box.inset(8 + max(map(len, labels)) * SMALL * CHARACTER, 6, 8, 16)
    yield from _axes(shown, plot, marks, labels)
    for found, below in reversed(summed):
        yield from _line(shown, plot, marks[-1], found, below)
    for step in shown.panel.steps[1:]:
        if step.value is not None and step.value <= marks[-1]:
            height = plot.y + plot.height * (1 - step.value / marks[-1])
            yield line(plot.x, height, plot.x + plot.width, height, NAMED[step.color], dashed=True)
    yield from _legends(lines, Box(plot.x, plot.y + plot.height + 16, plot.width, 0))


def draw_bars(shown: Shown, box: Box) -> Iterator[str]:
    """One bar for each series, the longest first."""
    found = sorted(((series.points[-1][1], series.name) for series in named(shown)), reverse=True)
    top = max(found[0][0], 1.0)
    height = min(box.height / len(found), 30.0)
    label = max(len(name) for _, name in found) * SMALL * CHARACTER + 10
    for place, (value, name) in enumerate(found):
        y = box.y + place * height
        color = color_of(shown.panel, value)
        full = Box(box.x + label, y + 4, box.width - label - 50, height - 8)
        yield text(box.x + label - 8, y + height / 2 + 4, name, SMALL, INK, "end")
        yield rectangle(full, GRID)
        yield rectangle(Box(full.x, full.y, full.width * value / top, full.height), color)
        words = written(value, shown.panel.unit, shown.panel.decimals)
        yield text(box.x + box.width - 4, y + height / 2 + 4, words, SMALL + 1, color, "end")


def draw_heat(shown: Shown, box: Box) -> Iterator[str]:
    """How many observations fell into which bucket, column by column."""
    bounds = sorted(named(shown), key=lambda found: float(found.name))
    counts = _of_each(bounds)
    filled = [place for place, cells in enumerate(counts) if any(cells.values())]
    bounds, counts = bounds[: filled[-1] + 1], counts[: filled[-1] + 1]
    most = max(count for cells in counts for count in cells.values())
    labels = [_bound(found.name) for found in bounds]
    plot = box.inset(8 + max(map(len, labels)) * SMALL * CHARACTER, 6, 8, 16)
    height = plot.height / len(bounds)
    yield from _times(shown, plot)
    for place, (label, cells) in enumerate(zip(labels, counts, strict=True)):
        y = plot.y + plot.height - (place + 1) * height
        yield text(plot.x - 6, y + height / 2 + 4, label, SMALL, FAINT, "end")
        width = plot.width / max(len(cells), 2)
        for at, count in cells.items():
            if count > 0:
                heat = 0.15 + 0.85 * math.sqrt(count / most)
                cell = Box(plot.x + plot.width * _part(at, shown) - width, y + 0.5, width, height - 1)
                yield rectangle(cell, mixed(heat))


def draw_table(shown: Shown, box: Box) -> Iterator[str]:
    """One line for each set of labels, one column for each query."""
    rows: dict[tuple[str, ...], list[str]] = {}
    for place, (query, answer) in enumerate(zip(shown.panel.queries, shown.answers, strict=True)):
        for series in answer:
            key = tuple(series.labels.get(column, "") for column in shown.panel.columns)
            cells = rows.setdefault(key, [""] * len(shown.panel.queries))
            decimals = shown.panel.decimals if not query.unit else None
            cells[place] = written(series.points[-1][1], query.unit or shown.panel.unit, decimals)
    titles = [*shown.panel.columns, *(query.legend for query in shown.panel.queries)]
    width = box.width / len(titles)
    most = int(box.height / 19) - 1
    for number, cells in enumerate([titles, *([*key, *values] for key, values in sorted(rows.items())[:most])]):
        y = box.y + 14 + number * 19
        for place, words in enumerate(cells):
            color = NAMED["blue"] if number == 0 else INK
            yield text(box.x + 4 + place * width, y, fitted(words, width - 6, 11), 11, color)
        yield line(box.x, y + 5, box.x + box.width, y + 5, GRID)


def _line(shown: Shown, plot: Box, top: float, found: Named, below: Sequence[float]) -> Iterator[str]:
    runs: list[list[tuple[float, float, float]]] = [[]]
    floor = below or [0.0] * len(found.points)
    for (at, value), under in zip(found.points, floor, strict=True):
        if runs[-1] and at - runs[-1][-1][0] > GAP_S:
            runs.append([])
        runs[-1].append((at, value, under))
    for run in runs:
        above = [_place(shown, plot, top, at, value) for at, value, _ in run]
        if below:
            yield area(above, [_place(shown, plot, top, at, under) for at, _, under in run], found.color, 0.5)
        yield curve(above, found.color)


def _stacked(lines: Sequence[Named]) -> list[tuple[Named, Sequence[float]]]:
    """Each line upon those before it, with what it stands on."""
    heights: dict[float, float] = {}
    found: list[tuple[Named, Sequence[float]]] = []
    for each in lines:
        below = [heights.get(at, 0.0) for at, _ in each.points]
        heights |= {at: under + value for (at, value), under in zip(each.points, below, strict=True)}
        raised = tuple((at, heights[at]) for at, _ in each.points)
        found.append((Named(each.name, each.color, raised), below))
    return found


def _of_each(bounds: Sequence[Named]) -> list[dict[float, float]]:
    """What each bucket holds without those below it."""
    below: dict[float, float] = {}
    found: list[dict[float, float]] = []
    for bound in bounds:
        cells = dict(bound.points)
        found.append({at: value - below.get(at, 0.0) for at, value in cells.items()})
        below = cells
    return found


def _axes(shown: Shown, plot: Box, marks: Sequence[float], labels: Sequence[str]) -> Iterator[str]:
    for mark, label in zip(marks, labels, strict=True):
        y = plot.y + plot.height * (1 - mark / marks[-1])
        yield line(plot.x, y, plot.x + plot.width, y, GRID)
        yield text(plot.x - 6, y + 4, label, SMALL, FAINT, "end")
    yield from _times(shown, plot)


def _times(shown: Shown, plot: Box) -> Iterator[str]:
    """Seconds since the beginning."""
    for mark in moments(shown.end - shown.start, 6):
        x = plot.x + plot.width * mark / (shown.end - shown.start)
        yield line(x, plot.y, x, plot.y + plot.height, GRID)
        yield text(x, plot.y + plot.height + 13, written(mark, "s"), SMALL, FAINT, "middle")


def _legends(lines: Sequence[Named], box: Box) -> Iterator[str]:
    """As many names as there is room for: those that ever were above 0 first."""
    ordered = sorted(lines, key=lambda found: not any(value for _, value in found.points))
    x, row = box.x, 0
    for place, found in enumerate(ordered):
        width = 16 + len(found.name) * SMALL * CHARACTER + 10
        more = f"+ {len(ordered) - place} more"
        room = box.x + box.width - (len(more) * SMALL * CHARACTER if row == LEGEND_ROWS - 1 else 0)
        if x + width > room and x > box.x:
            row, x = row + 1, box.x
            if row == LEGEND_ROWS:
                yield text(box.x + box.width, box.y + 10 + (row - 1) * 14, more, SMALL, FAINT, "end")
                return
        y = box.y + row * 14
        yield rectangle(Box(x, y + 5, 10, 3), found.color)
        yield text(x + 14, y + 10, fitted(found.name, box.width - 16, SMALL), SMALL, INK)
        x += width


def _legend(template: str, labels: Mapping[str, str]) -> str:
    if not template:
        return " ".join(value for name, value in labels.items() if name != "__name__") or "value"
    return re.sub(r"\{\{(\w+)\}\}", lambda found: labels.get(found[1], ""), template).strip() or "all"


def _bound(name: str) -> str:
    return "more" if name == "+Inf" else written(float(name), "s")


def _part(at: float, shown: Shown) -> float:
    return (at - shown.start) / (shown.end - shown.start)


def _place(shown: Shown, plot: Box, top: float, at: float, value: float) -> tuple[float, float]:
    return plot.x + plot.width * _part(at, shown), plot.y + plot.height * (1 - min(value / top, 1.0))
