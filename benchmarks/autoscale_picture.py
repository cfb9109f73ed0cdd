"""The picture of a wave: what waits, the workers that the autoscaler wants, and how long activities wait to start."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

WIDTH, PANEL, GAP, LEFT, TOP = 720, 110, 34, 46, 24
BUCKET = 2.0
"""Seconds of which a p99 is taken."""

Points = Sequence[tuple[float, float]]


class Look(Protocol):
    """What is drawn of a decision."""

    @property
    def at(self) -> float: ...
    @property
    def figure(self) -> float: ...
    @property
    def wanted(self) -> int: ...
    @property
    def ready(self) -> int: ...


def draw(samples: Sequence[Look], waits: Iterable[tuple[float, float]]) -> str:
    """An SVG of three panels above each other."""
    end = max((sample.at for sample in samples), default=1.0)
    panels = [
        ("work that waits or runs (/scaler)", [("#1f6feb", [(s.at, s.figure) for s in samples])]),
        (
            "pods: wanted (line), ready (dashed)",
            [
                ("#1a7f37", steps([(s.at, float(s.wanted)) for s in samples])),
                ("#8c959f", steps([(s.at, float(s.ready)) for s in samples])),
            ],
        ),
        (f"schedule-to-start, p99 of every {BUCKET:g} s, in seconds", [("#bc4c00", p99(waits))]),
    ]
    height = TOP + len(panels) * (PANEL + GAP)
    parts = [_panel(number, title, curves, end) for number, (title, curves) in enumerate(panels)]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" '
        f'font-size="11"><rect width="{WIDTH}" height="{height}" fill="#ffffff"/>\n' + "\n".join(parts) + "\n</svg>\n"
    )


def steps(points: Points) -> list[tuple[float, float]]:
    """The corners of a curve that changes at once; what stays the same is left out."""
    corners = list(points[:1])
    for at, value in points[1:]:
        if value != corners[-1][1]:
            corners += [(at, corners[-1][1]), (at, value)]
    return [*corners, *points[-1:]]


def p99(waits: Iterable[tuple[float, float]]) -> list[tuple[float, float]]:
    """The p99 of every bucket that has any."""
    buckets: dict[int, list[float]] = {}
    for at, wait in waits:
        buckets.setdefault(int(at / BUCKET), []).append(wait)
    return [
        ((number + 0.5) * BUCKET, sorted(found)[min(len(found) - 1, int(0.99 * len(found)))])
        for number, found in sorted(buckets.items())
    ]


def _panel(number: int, title: str, curves: Sequence[tuple[str, Points]], end: float) -> str:
    bottom = TOP + number * (PANEL + GAP) + PANEL
    top = max((value for _, points in curves for _, value in points), default=1.0) or 1.0
    across = (WIDTH - LEFT - 10) / end
    lines = [
        f'<text x="{LEFT}" y="{bottom - PANEL - 6}" fill="#1f2328">{title}</text>',
        f'<path d="M{LEFT} {bottom - PANEL}V{bottom}H{WIDTH - 10}" fill="none" stroke="#d0d7de"/>',
        f'<text x="{LEFT - 4}" y="{bottom - PANEL + 8}" text-anchor="end" fill="#57606a">{top:.3g}</text>',
        f'<text x="{LEFT - 4}" y="{bottom}" text-anchor="end" fill="#57606a">0</text>',
    ]
    lines += [
        f'<text x="{LEFT + at * across:.0f}" y="{bottom + 12}" text-anchor="middle" fill="#57606a">{at} s</text>'
        for at in range(0, int(end) + 1, 20)
    ]
    for order, (colour, points) in enumerate(curves):
        way = " ".join(f"{LEFT + at * across:.1f},{bottom - value / top * PANEL:.1f}" for at, value in points)
        dashes = ' stroke-dasharray="3 3"' if order else ""
        lines.append(f'<polyline points="{way}" fill="none" stroke="{colour}" stroke-width="1.5"{dashes}/>')
    return "\n".join(lines)
