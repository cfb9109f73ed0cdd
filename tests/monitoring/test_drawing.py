"""Pictures of dashboards: numbers in their units, and every panel in its place."""

from __future__ import annotations

from collections.abc import Mapping
from xml.etree import ElementTree

import pytest
from msgspec import Struct

from grafana.__main__ import DASHBOARDS
from grafana.drawing.charts import Shown
from grafana.drawing.numbers import moments, ticks, written
from grafana.drawing.page import CAPTION, picture
from grafana.model import Dashboard, Panel


class Line(Struct, frozen=True):
    labels: Mapping[str, str]
    points: tuple[tuple[float, float], ...]


@pytest.mark.parametrize(
    ("value", "unit", "shown"),
    [
        (0, "s", "0 s"),
        (0.00042, "s", "420 µs"),
        (0.0123, "s", "12.3 ms"),
        (90, "s", "1.5 min"),
        (0, "ops", "0 ops/s"),
        (1_250, "ops", "1.25K ops/s"),
        (1.5 * 1024**2, "bytes", "1.5 MiB"),
        (0.0915, "percentunit", "9.15%"),
        (12, "short", "12"),
    ],
)
def test_numbers_are_written_in_their_unit(value: float, unit: str, shown: str) -> None:
    assert written(value, unit) == shown


def test_ticks_are_round_and_reach_the_top() -> None:
    assert ticks(17, 4) == [0, 5, 10, 15, 20]
    assert ticks(0.9, 3) == pytest.approx([0, 0.5, 1.0])
    assert ticks(3 * 1024**2, 3, "bytes") == [0, 1024**2, 2 * 1024**2, 3 * 1024**2]


def test_marks_of_time_are_those_of_a_clock() -> None:
    assert moments(130, 6) == [0, 30, 60, 90, 120]


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda dashboard: dashboard.uid)
def test_every_panel_is_drawn(dashboard: Dashboard) -> None:
    drawn = picture(dashboard, {(panel.title, panel.text): _shown(panel) for panel in dashboard.panels})
    words = {element.text for element in ElementTree.fromstring(drawn).iter() if element.text}
    assert CAPTION in words
    assert {panel.title for panel in dashboard.panels if panel.width > 3} <= words


def _shown(panel: Panel) -> Shown:
    labels = {column: f"<{column}>" for column in panel.columns} | {"le": "0.5"}
    answer = (Line(labels, tuple((float(at), float(at % 7)) for at in range(100, 160))),)
    return Shown(panel, (answer,) * len(panel.queries), 100, 160)
