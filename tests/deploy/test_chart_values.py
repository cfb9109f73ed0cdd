"""The chart's own page and the copies of Grafana's files are current, and no value is without a description."""

from __future__ import annotations

import json
import runpy
from pathlib import Path
from typing import Any

import yaml

from tests.docs.markdown import ROOT
from tests.support.helm import CHART, render

README: dict[str, Any] = runpy.run_path(str(ROOT / "scripts" / "chart_readme.py"))


def test_the_page_is_current() -> None:
    assert (CHART / "README.md").read_text() == README["page"](), "run `make docs`"


def test_every_value_is_described() -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    described = {value.key for value in README["described"]()}
    missing = [
        leaf
        for leaf in README["leaves"](values)
        if not any(leaf == key or leaf.startswith(f"{key}.") for key in described)
    ]
    assert missing == []


def test_every_value_is_in_the_schema() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    assert set(schema["properties"]) == {*values, "global"}
    pool = schema["properties"]["workers"]["additionalProperties"]["properties"]
    assert set(pool) == {"app", *values["workerDefaults"]}


def test_the_schema_knows_all_settings() -> None:
    made: str = runpy.run_path(str(ROOT / "scripts" / "chart_files.py"))["schema"]()
    assert (CHART / "values.schema.json").read_text() == made, "run `make docs`"


def test_the_copies_for_prometheus_and_grafana_are_current() -> None:
    made: dict[Path, str] = runpy.run_path(str(ROOT / "scripts" / "chart_files.py"))["copies"]()
    assert len(made) == 6
    for path, text in made.items():
        assert path.read_text() == text, f"{path.name}: run `make docs`"
    (rules,) = [
        m for m in render("production") if m["kind"] == "PrometheusRule" and not m["metadata"]["name"].endswith("slo")
    ]
    assert rules["spec"] == yaml.safe_load((CHART / "files" / "rules.yaml").read_text())
    boards = [m for m in render("production") if m["kind"] == "ConfigMap" and "dashboard" in m["metadata"]["name"]]
    shown = [json.loads(text) for board in boards for text in board["data"].values()]
    assert {board["uid"] for board in shown} == {json.loads(t)["uid"] for p, t in made.items() if p.suffix == ".json"}
