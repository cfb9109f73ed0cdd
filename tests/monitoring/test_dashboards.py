"""The dashboards are what the code makes, and keep the rules that people who read dashboards rely on."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from grafana.__main__ import DASHBOARDS, FOLDER, files
from grafana.model import Dashboard, Panel, Query
from grafana.to_json import TAG, to_json
from tests.docs.markdown import ROOT
from tests.monitoring.exposed import exposed
from tests.monitoring.promql import Selected, selected, substituted

UIDS = ("redurable-overview", "redurable-orchestrators", "redurable-workers", "redurable-redis")
"""For ever: bookmarks and links hold them."""

UNITS = {"short", "s", "ops", "bytes", "percentunit"}
OF_THE_HUB = re.compile("redurable_(instances_open|deadletter_messages|stream_.*|timers_(pending|due)|workers)$")
VARIABLE = re.compile(r"\$(\w+)")
BUILT_IN = {"__rate_interval", "__range"}

PANELS = [(dashboard, panel) for dashboard in DASHBOARDS for panel in dashboard.panels]
QUERIES = [(dashboard, panel, query) for dashboard, panel in PANELS for query in panel.queries]


def _panel_id(value: object) -> str:
    match value:
        case Dashboard():
            return value.uid
        case Panel():
            return value.title
        case Query():
            return value.legend
        case _:
            return ""


def _metrics(query: Query) -> list[Selected]:
    return selected(substituted(query.expr))


def test_the_files_are_what_the_code_makes() -> None:
    made = files()
    assert {path: path.read_text() for path in made} == made, "run `make docs`"
    assert set(FOLDER.iterdir()) == set(made)


def test_uids_never_change() -> None:
    assert tuple(dashboard.uid for dashboard in DASHBOARDS) == UIDS
    assert all(len(uid) <= 40 for uid in UIDS)


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=_panel_id)
def test_a_dashboard_can_be_imported_and_provisioned(dashboard: Dashboard) -> None:
    made = to_json(dashboard)
    assert (made["id"], made["editable"], made["graphTooltip"]) == (None, False, 1)
    assert "__inputs" not in made
    assert made["tags"] == [TAG]
    (link,) = made["links"]
    assert (link["tags"], link["includeVars"], link["keepTime"]) == ([TAG], True, True)
    sources = [str(found) for found in _values(made, "datasource")]
    assert set(sources) == {str({"type": "prometheus", "uid": "${datasource}"})}
    source, *others = made["templating"]["list"]
    assert (source["type"], source["query"]) == ("datasource", "prometheus")
    assert [other["refresh"] for other in others] == [2] * len(others)


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=_panel_id)
def test_panels_fill_the_grid_without_overlap(dashboard: Dashboard) -> None:
    taken: Counter[tuple[int, int]] = Counter()
    made = to_json(dashboard)["panels"]
    for panel in made:
        place = panel["gridPos"]
        taken.update(
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        )
    assert max(taken.values()) == 1
    assert max(x for x, _ in taken) < 24
    rows = {y for _, y in taken}
    assert rows == set(range(max(rows) + 1))
    assert len({panel["id"] for panel in made}) == len(made)


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=_panel_id)
def test_numbers_stand_on_top(dashboard: Dashboard) -> None:
    top, *rows = dashboard.rows
    assert (top.title, {panel.kind for panel in top.panels}, len(top.panels)) == ("", {"stat"}, 8)
    assert all(row.title for row in rows)


@pytest.mark.parametrize(("dashboard", "panel"), PANELS, ids=_panel_id)
def test_a_panel_says_what_it_is(dashboard: Dashboard, panel: Panel) -> None:
    assert panel.title
    assert panel.text.endswith(".")
    assert panel.unit in UNITS
    letters = [target["refId"] for target in _panel_of(dashboard, panel)["targets"]]
    assert letters == list("ABCDEFGH"[: len(panel.queries)])
    if panel.kind == "timeseries" and len(panel.queries) > 1:
        assert all(query.legend for query in panel.queries)


def test_titles_are_not_used_twice_in_a_row() -> None:
    for dashboard in DASHBOARDS:
        for row in dashboard.rows:
            titles = [panel.title for panel in row.panels]
            assert len(set(titles)) == len(titles)


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=_panel_id)
def test_every_choice_is_used_and_every_use_is_a_choice(dashboard: Dashboard) -> None:
    used = {name for panel in dashboard.panels for query in panel.queries for name in VARIABLE.findall(query.expr)}
    assert used - BUILT_IN == {variable.name for variable in dashboard.variables}
    for variable in dashboard.variables:
        (metric,) = selected(substituted(variable.metric))
        assert metric.metric in exposed()


@pytest.mark.parametrize(("dashboard", "panel", "query"), QUERIES, ids=_panel_id)
def test_a_query_asks_for_metrics_that_exist(dashboard: Dashboard, panel: Panel, query: Query) -> None:
    known = exposed()
    asked = _metrics(query)
    assert asked
    assert {metric.metric for metric in asked} <= set(known)
    for metric in asked:
        if metric.metric.startswith("redurable_"):
            assert metric.labels["hub"] == ".*", "every hub that is chosen, and no other"


@pytest.mark.parametrize(("dashboard", "panel", "query"), QUERIES, ids=_panel_id)
def test_counters_are_rates_and_gauges_of_the_hub_are_maxima(dashboard: Dashboard, panel: Panel, query: Query) -> None:
    known = exposed()
    for metric in _metrics(query):
        rated = {"rate", "increase"} & set(metric.inside)
        if known[metric.metric].family in ("counter", "histogram") and "cpu" not in metric.metric:
            assert rated, f"{metric.metric} counts up for ever"
        if known[metric.metric].family == "gauge":
            assert not rated
        if OF_THE_HUB.match(metric.metric):
            assert metric.inside[-1].startswith("max by (hub"), f"{metric.metric} is said by one worker for all"
    assert not re.search(r"\[\d", query.expr), "a span that does not follow the zoom"


def test_the_rules_are_asked_of_what_can_break_them() -> None:
    with pytest.raises(ValueError, match=r"unclosed|parse|unexpected"):
        selected("sum(rate(a[5m])")
    (found,) = selected('max by (hub, queue) (redurable_x{hub=~".*"})')
    assert (found.metric, found.labels, found.inside) == ("redurable_x", {"hub": ".*"}, ("max by (hub,queue)",))


def test_the_provisioning_files_lead_to_the_dashboards() -> None:
    folder = ROOT / "grafana" / "provisioning"
    (provider,) = yaml.safe_load((folder / "dashboards" / "redurable.yaml").read_text())["providers"]
    (source,) = yaml.safe_load((folder / "datasources" / "redurable.yaml").read_text())["datasources"]
    assert (provider["type"], source["type"]) == ("file", "prometheus")
    assert (
        f"cp grafana/dashboards/*.json {provider['options']['path']}/" in (ROOT / "grafana" / "README.md").read_text()
    )


def test_every_dashboard_has_a_picture_that_says_how_it_was_drawn() -> None:
    shown = (ROOT / "grafana" / "README.md").read_text()
    for uid in UIDS:
        picture = Path("pictures") / f"{uid}.svg"
        assert f"({picture})" in shown
        assert "drawn without Grafana" in (ROOT / "grafana" / picture).read_text()


def _panel_of(dashboard: Dashboard, panel: Panel) -> dict[str, Any]:
    same = [found for found in to_json(dashboard)["panels"] if found["title"] == panel.title and "targets" in found]
    return next(found for found in same if found["description"] == panel.text)


def _values(made: Any, key: str) -> Iterator[Any]:
    """Whatever stands under `key`, at any depth; read back from its text, as Grafana does."""
    for name, value in _pairs(json.loads(json.dumps(made))):
        if name == key:
            yield value


def _pairs(made: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(made, dict):
        for name, value in made.items():
            yield name, value
            yield from _pairs(value)
    elif isinstance(made, list):
        for value in made:
            yield from _pairs(value)
