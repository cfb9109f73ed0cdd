"""A whole dashboard as one SVG, its panels where Grafana puts them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from grafana.drawing.charts import Shown, draw_bars, draw_heat, draw_lines, draw_stat, draw_table
from grafana.drawing.svg import EDGE, FAINT, INK, PANEL, PAPER, Box, fitted, rectangle, text
from grafana.model import Dashboard
from grafana.to_json import to_json

COLUMN, ROW = 60, 30
"""Pixels of Grafana's units."""
HEAD = 44
GAP = 4

CAPTION = "real data, drawn without Grafana"

DRAWN = {
    "stat": draw_stat,
    "timeseries": draw_lines,
    "bargauge": draw_bars,
    "heatmap": draw_heat,
    "table": draw_table,
}


def picture(dashboard: Dashboard, shown: Mapping[tuple[str, str], Shown]) -> str:
    """The dashboard with what its panels show, by the title and the text of each."""
    panels = to_json(dashboard)["panels"]
    width = 24 * COLUMN
    height = HEAD + max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in panels) * ROW + GAP
    drawn = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'font-family="Inter, Helvetica, Arial, sans-serif" role="img">',
        f"<title>{dashboard.title}: {CAPTION}</title>",
        rectangle(Box(0, 0, width, height), PAPER),
        text(12, 28, dashboard.title, 17, INK, bold=True),
        text(width - 12, 28, CAPTION, 13, FAINT, "end"),
    ]
    for panel in panels:
        grid = panel["gridPos"]
        place = Box(grid["x"] * COLUMN, HEAD + grid["y"] * ROW, grid["w"] * COLUMN, grid["h"] * ROW)
        if panel["type"] == "row":
            drawn.append(text(place.x + 12, place.y + 20, f"⌄ {panel['title']}", 14, INK, bold=True))
        else:
            drawn += _panel(shown[panel["title"], panel["description"]], place.inset(GAP, GAP, GAP, GAP))
    return "\n".join([*drawn, "</svg>"]) + "\n"


def _panel(shown: Shown, box: Box) -> Iterator[str]:
    yield rectangle(box, PANEL, EDGE, radius=3)
    yield text(box.x + 8, box.y + 18, fitted(shown.panel.title, box.width - 12, 12), 12, INK, bold=True)
    yield from DRAWN[shown.panel.kind](shown, box.inset(8, 26, 8, 4))
