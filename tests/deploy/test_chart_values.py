"""The chart's own page and the copies of Grafana's files are current, and no value is without a description."""

from __future__ import annotations

import json
import runpy
from typing import Any

import yaml

from tests.docs.markdown import ROOT
from tests.support.helm import CHART

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
