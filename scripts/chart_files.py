"""Copies what is made for Prometheus and Grafana into the chart, and the names of all settings into the schema of its
values: `make docs`. helm reads nothing outside of a chart.

A test fails when the copies are not what this makes.
"""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import Any

import yaml
from pydantic_settings import BaseSettings

from redurable import settings

ROOT = Path(__file__).parents[1]
CHART = ROOT / "deploy" / "helm" / "redurable"
FILES = CHART / "files"
SCHEMA = CHART / "values.schema.json"
OTHERWISE = {"redis_username", "redis_password", "redis_ca_file", "http_keys", "metrics_port", "http_host", "http_port"}
"""Settings that other values of the chart set: they would be said twice."""


def copies() -> dict[Path, str]:
    """The files and their contents: every dashboard, and the groups of rules without the object around them."""
    dashboards = sorted((ROOT / "grafana" / "dashboards").glob("*.json"))
    made = {FILES / "dashboards" / path.name.removeprefix("redurable-"): path.read_text() for path in dashboards}
    for source, name in (("redurable.yaml", "rules.yaml"), ("redurable-slo.yaml", "slo.yaml")):
        rule: dict[str, Any] = yaml.safe_load((ROOT / "prometheus" / "kubernetes" / source).read_text())
        made[FILES / name] = yaml.safe_dump(rule["spec"], sort_keys=False, width=10_000, allow_unicode=True)
    return made


def schema() -> str:
    """The schema of the values, which knows all settings by name: a misspelt one would be ignored."""
    found = (item for item in vars(settings).values() if inspect.isclass(item) and issubclass(item, BaseSettings))
    names = {name for item in found for name in item.model_fields}
    known: dict[str, Any] = json.loads(SCHEMA.read_text())
    known["definitions"] = {"setting": {"enum": sorted(names - OTHERWISE)}}
    return json.dumps(known, indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    SCHEMA.write_text(schema())
    for path, text in copies().items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
