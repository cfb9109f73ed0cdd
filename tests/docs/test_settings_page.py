"""docs/settings.md says what the code says."""

from __future__ import annotations

import runpy
from typing import Any

import pytest
from pydantic_settings import BaseSettings

from redurable import App, Worker
from redurable.settings import MetricsSettings, PayloadSettings, WorkerSettings
from tests.docs.markdown import ROOT

SCRIPT: dict[str, Any] = runpy.run_path(str(ROOT / "scripts" / "settings_page.py"))


def test_the_page_is_current() -> None:
    assert (ROOT / "docs" / "settings.md").read_text() == SCRIPT["page"](), "run `make docs`"


def test_every_setting_has_a_unit_and_a_meaning() -> None:
    found: list[type[BaseSettings]] = list(SCRIPT["classes"]())
    assert {PayloadSettings, WorkerSettings, MetricsSettings} <= set(found)
    for kind in found:
        assert kind.__doc__
        for name, field in kind.model_fields.items():
            description = field.description or ""
            assert description.endswith("."), f"{kind.__name__}.{name} needs a description: a sentence"
            if isinstance(field.default, int) and not isinstance(field.default, bool):
                assert SCRIPT["unit_of"](field), f"{kind.__name__}.{name} needs a type with a unit: Ms, Bytes, Count"


def test_a_value_that_cannot_be_right_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDURABLE_CONCURRENCY", "0")
    with pytest.raises(ValueError, match=r"concurrency\n.*greater than 0"):
        Worker(App("refused"))


def test_every_setting_is_shown_once() -> None:
    text = (ROOT / "docs" / "settings.md").read_text()
    names = {name for kind in SCRIPT["classes"]() for name in kind.model_fields}
    assert len(names) > 25
    assert {name: text.count(f"| `{name}` |") for name in names} == dict.fromkeys(names, 1)
    assert "| `drain_timeout_ms` | `REDURABLE_DRAIN_TIMEOUT_MS` | milliseconds | `20000` (20 s) |" in text
    assert "| `cache_bytes` | `REDURABLE_CACHE_BYTES` | bytes | `536870912` (512 MiB) |" in text
