"""docs/metrics.md says what the code says, and other pages name metrics that there are."""

from __future__ import annotations

import re
import runpy
from pathlib import Path
from typing import Any

import pytest

from redurable.telemetry.metrics import Metrics, Names
from tests.docs.markdown import ROOT, documents, name

SCRIPT: dict[str, Any] = runpy.run_path(str(ROOT / "scripts" / "metrics_page.py"))
NAMED = re.compile(r"`(redurable_[a-z_]+)`")
SUFFIXES = ("_total", "_bucket", "_sum", "_count")
ELSEWHERE = ("redurable_http_",)
"""Metrics of other programs."""


def test_the_page_is_current() -> None:
    assert (ROOT / "docs" / "metrics.md").read_text() == SCRIPT["page"](), "run `make docs`"


def test_the_page_tells_of_all_that_is_registered() -> None:
    registry = Metrics("orders", Names()).registry
    declared = set(SCRIPT["names"]())
    assert {family.name for family in registry.collect()} <= declared
    assert len(declared) >= 65


@pytest.mark.parametrize("document", documents(), ids=name)
def test_documents_name_metrics_that_there_are(document: Path) -> None:
    known: set[str] = SCRIPT["names"]()
    named = {metric for metric in NAMED.findall(document.read_text()) if not metric.startswith(ELSEWHERE)}
    assert {metric for metric in named if metric not in known and _base(metric) not in known} == set()


def _base(metric: str) -> str:
    return next((metric.removesuffix(suffix) for suffix in SUFFIXES if metric.endswith(suffix)), metric)
