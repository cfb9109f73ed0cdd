"""Copies what is made for Prometheus and Grafana into the chart: `make docs`. helm reads nothing outside of a chart.

A test fails when the copies are not what this makes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]
FILES = ROOT / "deploy" / "helm" / "redurable" / "files"


def copies() -> dict[Path, str]:
    """The files and their contents: every dashboard, and the groups of rules without the object around them."""
    dashboards = sorted((ROOT / "grafana" / "dashboards").glob("*.json"))
    made = {FILES / "dashboards" / path.name.removeprefix("redurable-"): path.read_text() for path in dashboards}
    for source, name in (("redurable.yaml", "rules.yaml"), ("redurable-slo.yaml", "slo.yaml")):
        rule: dict[str, Any] = yaml.safe_load((ROOT / "prometheus" / "kubernetes" / source).read_text())
        made[FILES / name] = yaml.safe_dump(rule["spec"], sort_keys=False, width=10_000, allow_unicode=True)
    return made


if __name__ == "__main__":
    for path, text in copies().items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
