"""The dashboards are what the code makes, and keep the rules that people who read dashboards rely on."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
import yaml

from grafana.__main__ import DASHBOARDS, FOLDER, files
from grafana.model import Dashboard, Query
from grafana.to_json import TAG, Json, to_json
from tests.docs.markdown import ROOT
from tests.monitoring.exposed import exposed
from tests.monitoring.promql import Selected, selected, substituted

UIDS = ("redurable-overview", "redurable-orchestrators", "redurable-workers", "redurable-redis")
"""For ever: bookmarks and links hold them."""

UNITS = {"short", "s", "ops", "bytes", "percentunit"}
OF_THE_HUB = re.compile("redurable_(instances_open|deadletter_messages|stream_.*|timers_(pending|due)|workers)$")
VARIABLE = re.compile(r"\$(\w+)")
BUILT_IN = {"__rate_interval", "__range"}


def _uid(dashboard: Dashboard) -> str:
    return dashboard.uid


def _queries(dashboard: Dashboard) -> list[Query]:
    return [query for panel in dashboard.panels for query in panel.queries]


def _metrics(query: Query) -> list[Selected]:
    return selected(substituted(query.expr))


def test_the_files_are_what_the_code_makes() -> None:
    made = files()
    assert {path: path.read_text() for path in made} == made, "run `make docs`"
    assert set(FOLDER.iterdir()) == set(made)


def test_uids_never_change() -> None:
    assert tuple(dashboard.uid for dashboard in DASHBOARDS) == UIDS
    assert all(len(uid) <= 40 for uid in UIDS)


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=_uid)
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


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=_uid)
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


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=_uid)
def test_numbers_stand_on_top(dashboard: Dashboard) -> None:
    top, *rows = dashboard.rows
    assert (top.title, {panel.kind for panel in top.panels}, len(top.panels)) == ("", {"stat"}, 8)
    assert all(row.title for row in rows)


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=_uid)
def test_a_panel_says_what_it_is(dashboard: Dashboard) -> None:
    for panel in dashboard.panels:
        assert panel.title
        assert panel.text.endswith("."), panel.title
        assert panel.unit in UNITS, panel.title
        assert len(panel.queries) == 1 or all(query.legend for query in panel.queries), panel.title
    for panel in to_json(dashboard)["panels"]:
        letters = [target["refId"] for target in panel.get("targets", ())]
        assert letters == list("ABCDEFGH"[: len(letters)])


def test_titles_are_not_used_twice_in_a_row() -> None:
    for dashboard in DASHBOARDS:
        for row in dashboard.rows:
            titles = [panel.title for panel in row.panels]
            assert len(set(titles)) == len(titles)


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=_uid)
def test_every_choice_is_used_and_every_use_is_a_choice(dashboard: Dashboard) -> None:
    used = {name for panel in dashboard.panels for query in panel.queries for name in VARIABLE.findall(query.expr)}
    assert used - BUILT_IN == {variable.name for variable in dashboard.variables}
    for variable in dashboard.variables:
        (metric,) = selected(substituted(variable.metric))
        assert metric.metric in exposed()


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=_uid)
def test_queries_ask_for_metrics_that_exist_of_the_hubs_that_are_chosen(dashboard: Dashboard) -> None:
    known = exposed()
    asked = [(query.expr, metric) for query in _queries(dashboard) for metric in _metrics(query)]
    assert [expr for expr, metric in asked if metric.metric not in known] == []
    assert [
        expr for expr, metric in asked if "hub" not in metric.labels and metric.metric.startswith("redurable")
    ] == []
    assert [expr for expr, metric in asked if not set(metric.labels) <= known[metric.metric].labels] == []
    assert [query.expr for query in _queries(dashboard) if not _metrics(query)] == []


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=_uid)
def test_counters_are_rates_and_gauges_of_the_hub_are_maxima(dashboard: Dashboard) -> None:
    wrong = [query.expr for query in _queries(dashboard) if not all(map(_is_used_well, _metrics(query)))]
    assert wrong == []
    assert [query.expr for query in _queries(dashboard) if re.search(r"\[\d", query.expr)] == [], "use $__rate_interval"


def _is_used_well(metric: Selected) -> bool:
    """A rate of what counts up for ever, and of nothing else; what one worker says for all is not summed."""
    counts = exposed()[metric.metric].kind in ("counter", "histogram")
    is_rate = bool({"rate", "increase"} & set(metric.inside))
    is_greatest = bool(metric.inside) and metric.inside[-1].startswith("max by (hub")
    return counts == is_rate and (is_greatest or not OF_THE_HUB.match(metric.metric))


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


def _values(made: Json, key: str) -> Iterator[Any]:
    """Whatever stands under `key`, at any depth."""
    for name, value in made.items():
        if name == key:
            yield value
        for inner in value if isinstance(value, list) else [value]:  # pyright: ignore[reportUnknownVariableType]
            if isinstance(inner, dict):
                yield from _values(cast("Json", inner), key)
