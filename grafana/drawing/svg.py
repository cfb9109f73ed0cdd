"""The few elements of SVG that the pictures need, as text."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from msgspec import Struct

INK, FAINT, GRID = "#d8d9da", "#9aa0a8", "#2c3036"
PAPER, PANEL, EDGE = "#111217", "#181b1f", "#25282d"
NAMED = {"green": "#73bf69", "yellow": "#fade2a", "red": "#f2495c", "blue": "#5794f2"}
PALETTE = (
    "#73bf69", "#f2cc0c", "#5794f2", "#ff9830", "#f2495c", "#b877d9", "#8ab8ff", "#37872d",
    "#ca95e5", "#c15c17", "#1f60c4", "#e02f44", "#96d98d", "#8f3bb8", "#ffb357", "#c4162a",
)  # fmt: skip

CHARACTER = 0.56
"""The mean width of a character, as a fraction of the height of its font."""


class Box(Struct, frozen=True):
    """A place, in pixels."""

    x: float
    y: float
    width: float
    height: float

    def inset(self, left: float, top: float, right: float, bottom: float) -> Box:
        """The place within, with these margins."""
        return Box(self.x + left, self.y + top, self.width - left - right, self.height - top - bottom)


def mixed(heat: float) -> str:
    """The colour of a cell of a heat map: the more of 1, the brighter."""
    cold, hot = (24, 27, 31), (255, 152, 48)
    return "#" + "".join(f"{round(low + (high - low) * heat):02x}" for low, high in zip(cold, hot, strict=True))


def text(
    x: float, y: float, words: str, size: int = 11, color: str = INK, anchor: str = "start", bold: bool = False
) -> str:
    """Words whose base line begins, ends or is centred there."""
    weight = ' font-weight="600"' if bold else ""
    where = "" if anchor == "start" else f' text-anchor="{anchor}"'
    return f'<text x="{x:.0f}" y="{y:.0f}" font-size="{size}" fill="{color}"{where}{weight}>{escape(words)}</text>'


def rectangle(box: Box, fill: str, stroke: str = "none", radius: int = 0) -> str:
    """A filled box."""
    edge = "" if stroke == "none" else f' stroke="{stroke}"'
    round_ = f' rx="{radius}"' if radius else ""
    place = f'x="{box.x:.1f}" y="{box.y:.1f}" width="{max(box.width, 0):.1f}" height="{max(box.height, 0):.1f}"'
    return f'<rect {place} fill="{fill}"{edge}{round_}/>'


def line(x1: float, y1: float, x2: float, y2: float, color: str, dashed: bool = False) -> str:
    """A thin line."""
    dashes = ' stroke-dasharray="5 4"' if dashed else ""
    return f'<path d="M{x1:.0f} {y1:.0f}L{x2:.0f} {y2:.0f}" stroke="{color}"{dashes} fill="none"/>'


def curve(points: Sequence[tuple[float, float]], color: str) -> str:
    """A line through points."""
    return f'<path d="{_through(points)}" stroke="{color}" stroke-width="1.4" fill="none" stroke-linejoin="round"/>'


def area(
    points: Sequence[tuple[float, float]], below: Sequence[tuple[float, float]], color: str, opacity: float
) -> str:
    """What lies between a line and another one below it."""
    outline = _through([*points, *reversed(below)])
    return f'<path d="{outline}Z" fill="{color}" fill-opacity="{opacity:g}"/>'


def fitted(words: str, width: float, size: int) -> str:
    """As many of the words as fit."""
    most = int(width / (size * CHARACTER))
    return words if len(words) <= most else words[: max(most - 1, 1)] + "…"


def _through(points: Sequence[tuple[float, float]]) -> str:
    """Points on a straight line between their neighbours are left out: most lines are flat most of the time."""
    kept: list[tuple[int, int]] = []
    for x, y in points:
        point = (round(x), round(y))
        if len(kept) > 1 and kept[-2][1] == kept[-1][1] == point[1] and kept[-2][0] <= kept[-1][0] <= point[0]:
            kept[-1] = point
        elif not kept or kept[-1] != point:
            kept.append(point)
    return "M" + "L".join(f"{x} {y}" for x, y in kept)
