"""A dashboard as the JSON that Grafana imports and provisions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from grafana.model import COLUMNS, Dashboard, Kind, Panel, Query, Row, Variable

SCHEMA = 39
"""Grafana 10.4 and newer read it."""
TAG = "redurable"
SOURCE = {"type": "prometheus", "uid": "${datasource}"}
LETTERS = "ABCDEFGH"

Json = dict[str, Any]


def to_json(dashboard: Dashboard) -> Json:
    """The whole dashboard."""
    return {
        "uid": dashboard.uid,
        "title": dashboard.title,
        "description": dashboard.text,
        "tags": [TAG],
        "id": None,
        "schemaVersion": SCHEMA,
        "version": 1,
        "editable": False,
        "graphTooltip": 1,
        "timezone": "browser",
        "refresh": "30s",
        "time": {"from": "now-1h", "to": "now"},
        "timepicker": {},
        "links": [_link()],
        "annotations": {"list": list(_annotations())},
        "templating": {"list": [_source(), *map(_variable, dashboard.variables)]},
        "panels": list(_panels(dashboard.rows)),
    }


def _link() -> Json:
    """One link to each dashboard with the tag; choices and time go along."""
    return {
        "type": "dashboards",
        "title": TAG,
        "tags": [TAG],
        "asDropdown": False,
        "includeVars": True,
        "keepTime": True,
        "targetBlank": False,
        "icon": "external link",
        "tooltip": "",
        "url": "",
    }


def _annotations() -> Iterator[Json]:
    starts = 'redurable_worker_start_time_seconds{hub=~"$hub"} * 1000'
    firing = 'ALERTS{alertname=~"Redurable.+", alertstate="firing", hub=~"$hub"}'
    yield _annotation("Workers start", starts, "blue", "{{instance}}") | {"useValueForTime": True}
    yield _annotation("Alerts", firing, "red", "{{alertname}}")


def _annotation(name: str, expr: str, color: str, title: str) -> Json:
    return {
        "name": name,
        "datasource": SOURCE,
        "enable": True,
        "hide": False,
        "iconColor": color,
        "expr": expr,
        "step": "60s",
        "titleFormat": title,
        "textFormat": "",
    }


def _source() -> Json:
    return {
        "name": "datasource",
        "label": "Data source",
        "description": "The Prometheus that scrapes the workers.",
        "type": "datasource",
        "query": "prometheus",
        "regex": "",
        "current": {},
        "options": [],
        "hide": 0,
        "includeAll": False,
        "multi": False,
        "refresh": 1,
    }


def _variable(variable: Variable) -> Json:
    query = f"label_values({variable.metric}, {variable.name})"
    return {
        "name": variable.name,
        "label": variable.title,
        "description": variable.text,
        "type": "query",
        "datasource": SOURCE,
        "definition": query,
        "query": {"query": query, "refId": variable.name},
        "regex": "",
        "current": {"selected": True, "text": ["All"], "value": ["$__all"]},
        "options": [],
        "hide": 0,
        "includeAll": True,
        "allValue": ".*",
        "multi": True,
        "refresh": 2,
        "sort": 1,
    }


def _panels(rows: tuple[Row, ...]) -> Iterator[Json]:
    """Numbered in order, each at its place: from left to right, on a new line where there is no room."""
    number = y = 0
    for row in rows:
        if row.title:
            number += 1
            yield _row(number, row.title, y)
            y += 1
        x = height = 0
        for panel in row.panels:
            if x + panel.width > COLUMNS:
                x, y, height = 0, y + height, 0
            number += 1
            yield _panel(panel) | {
                "id": number,
                "gridPos": {"x": x, "y": y, "w": panel.width, "h": panel.height},
            }
            x, height = x + panel.width, max(height, panel.height)
        y += height


def _row(number: int, title: str, y: int) -> Json:
    grid = {"x": 0, "y": y, "w": COLUMNS, "h": 1}
    return {"id": number, "type": "row", "title": title, "collapsed": False, "gridPos": grid, "panels": []}


def _panel(panel: Panel) -> Json:
    return {
        "type": panel.kind,
        "title": panel.title,
        "description": panel.text,
        "datasource": SOURCE,
        "targets": [_target(letter, query, panel.kind) for letter, query in zip(LETTERS, panel.queries, strict=False)],
        "fieldConfig": {"defaults": _defaults(panel), "overrides": list(_overrides(panel))},
        "options": _OPTIONS[panel.kind],
        "transformations": _transformations(panel),
    }


def _target(letter: str, query: Query, kind: Kind) -> Json:
    once = kind in ("table", "bargauge")
    return {
        "refId": letter,
        "datasource": SOURCE,
        "expr": query.expr,
        "legendFormat": query.legend or "__auto",
        "editorMode": "code",
        "format": {"table": "table", "heatmap": "heatmap"}.get(kind, "time_series"),
        "instant": once,
        "range": not once,
    }


def _defaults(panel: Panel) -> Json:
    lines = panel.kind == "timeseries"
    defaults: Json = {
        "unit": panel.unit,
        "color": {"mode": "palette-classic" if lines else "thresholds"},
        "thresholds": {
            "mode": "absolute",
            "steps": [{"color": step.color, "value": step.value} for step in panel.steps],
        },
        "custom": _lines(panel) if lines else {},
        "mappings": [],
    }
    if panel.kind in ("timeseries", "bargauge"):
        defaults["min"] = 0
    if panel.decimals is not None:
        defaults["decimals"] = panel.decimals
    if panel.top is not None:
        defaults["max"] = panel.top
    return defaults


def _lines(panel: Panel) -> Json:
    return {
        "drawStyle": "line",
        "lineWidth": 1,
        "fillOpacity": 40 if panel.stacked else 8,
        "showPoints": "never",
        "spanNulls": False,
        "stacking": {"mode": "normal" if panel.stacked else "none", "group": "A"},
        "thresholdsStyle": {"mode": "dashed" if len(panel.steps) > 1 else "off"},
    }


def _overrides(panel: Panel) -> Iterator[Json]:
    if panel.kind == "table":
        for query in panel.queries:
            yield {
                "matcher": {"id": "byName", "options": query.legend},
                "properties": [{"id": "unit", "value": query.unit or panel.unit}],
            }


def _transformations(panel: Panel) -> list[Json]:
    """One line of a table per label set, its columns named and in order."""
    if panel.kind != "table":
        return []
    values = [f"Value #{letter}" for letter, _ in zip(LETTERS, panel.queries, strict=False)]
    if len(values) == 1:
        values = ["Value"]
    names = dict(zip(values, (query.legend for query in panel.queries), strict=True))
    order = {column: place for place, column in enumerate([*panel.columns, *values])}
    organized = {"excludeByName": {"Time": True}, "indexByName": order, "renameByName": names}
    return [{"id": "merge", "options": {}}, {"id": "organize", "options": organized}]


_LAST: Json = {"calcs": ["lastNotNull"], "fields": "", "values": False}
_LEGEND: Json = {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []}
_OPTIONS: dict[Kind, Json] = {
    "stat": {
        "reduceOptions": _LAST,
        "colorMode": "value",
        "graphMode": "area",
        "justifyMode": "auto",
        "orientation": "auto",
        "textMode": "auto",
    },
    "timeseries": {"legend": _LEGEND, "tooltip": {"mode": "multi", "sort": "desc"}},
    "bargauge": {
        "reduceOptions": _LAST,
        "displayMode": "basic",
        "orientation": "horizontal",
        "valueMode": "color",
        "showUnfilled": True,
    },
    "table": {"showHeader": True, "cellHeight": "sm", "footer": {"show": False}},
    "heatmap": {
        "calculate": False,
        "cellGap": 1,
        "color": {"mode": "scheme", "scheme": "Oranges", "steps": 64, "exponent": 0.5, "fill": "dark-orange"},
        "legend": {"show": True},
        "tooltip": {"mode": "single", "yHistogram": False},
        "yAxis": {"unit": "s", "axisPlacement": "left"},
        "rowsFrame": {"layout": "auto"},
        "filterValues": {"le": 1e-9},
    },
}
