"""Alerts and recording rules: what the files are, that each alert fires and does not, and what the runbook says."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
import yaml

from grafana.__main__ import DASHBOARDS
from prometheus.files import CASES, FOLDER, RUNBOOK, SETS, alerts, files
from prometheus.model import Alert, Recording
from tests.docs.markdown import ROOT
from tests.monitoring.exposed import exposed
from tests.monitoring.promql import selected
from tests.monitoring.test_dashboards import OF_THE_HUB, UIDS

ALERTS = alerts()
RULES = [rule for groups in SETS.values() for group in groups for rule in group.rules]
RECORDED = {rule.record for rule in RULES if isinstance(rule, Recording)}
RULE_FILES = sorted((FOLDER / "rules").glob("*.yaml"))
PARTS = ("Meaning", "Impact", "Look", "Fix")

WANTED = {
    "NoPollers", "Quarantine", "ScheduleToStartHigh", "BacklogGrowing", "DeadLetters", "TimersLate", "LeasesFlapping",
    "RedisErrors", "CacheThrashing", "HistoryNearCap", "WorkerStuck",
}  # fmt: skip
QUICK = {"DeadLetters", "RedisDown", "RedisFull", "StoreDamaged", "SloFastBurn"}
"""What no deploy causes; all others wait until one is over."""
DEPLOY_MINUTES = 5

MINUTES = {"m": 1, "h": 60}


def _name(value: object) -> str:
    return value.name if isinstance(value, (Alert, Path)) else ""


def _section(alert: Alert) -> str:
    text = (ROOT / RUNBOOK).read_text()
    found = re.search(rf"^### {alert.name}$(.*?)(?=^##|\Z)", text, re.MULTILINE | re.DOTALL)
    assert found, f"{RUNBOOK} has no section {alert.name}"
    return found[1]


def test_the_files_are_what_the_code_makes() -> None:
    made = files()
    assert {path: path.read_text() for path in made} == made, "run `make docs`"
    assert set(FOLDER.glob("*/*.yaml")) == set(made)


def test_what_is_asked_for_is_there() -> None:
    names = {alert.name.removeprefix("Redurable") for alert in ALERTS}
    assert len(names) == len(ALERTS)
    assert names >= WANTED


@pytest.mark.parametrize("alert", ALERTS, ids=_name)
def test_an_alert_says_what_it_means_and_where_to_look(alert: Alert) -> None:
    assert alert.text.endswith(".")
    assert alert.dashboard in UIDS
    held = int(alert.held[:-1]) * MINUTES[alert.held[-1]]
    assert held >= (1 if alert.name.removeprefix("Redurable") in QUICK else DEPLOY_MINUTES)


@pytest.mark.parametrize("alert", ALERTS, ids=_name)
def test_the_runbook_has_a_section_for_it(alert: Alert) -> None:
    section = _section(alert)
    assert [part for part in PARTS if f"**{part}.**" not in section] == []
    (resource,) = [path for path, text in files().items() if "kubernetes" in path.parts and f": {alert.name}\n" in text]
    assert f"runbook_url: {RUNBOOK}#{alert.name.lower()}\n" in resource.read_text()


def test_the_runbook_has_no_section_for_what_does_not_exist() -> None:
    sections = re.findall(r"^### (\w+)$", (ROOT / RUNBOOK).read_text(), re.MULTILINE)
    assert sorted(sections) == sorted(alert.name for alert in ALERTS)
    named = set(re.findall(r"\bRedurable[A-Z]\w+", (ROOT / RUNBOOK).read_text()))
    assert named == set(sections)


def test_the_panels_that_the_runbook_names_are_there() -> None:
    named = re.findall(r'"([A-Z][^"$]+)"', re.sub(r"```.*?```", "", (ROOT / RUNBOOK).read_text(), flags=re.DOTALL))
    titles = {panel.title for dashboard in DASHBOARDS for panel in dashboard.panels}
    assert [name for name in named if " ".join(name.split()) not in titles] == []
    dashboards = {dashboard.title.removeprefix("redurable / ") for dashboard in DASHBOARDS}
    assert set(re.findall(r"\*([A-Z][\w -]+)\*[ :]", (ROOT / RUNBOOK).read_text())) <= dashboards


@pytest.mark.parametrize("alert", ALERTS, ids=_name)
def test_it_has_cases_in_which_it_fires_and_in_which_it_does_not(alert: Alert) -> None:
    cases = [case for found in CASES.values() for case in found if case.alert == alert.name]
    assert {case.labels is not None for case in cases} == {True, False}
    labels = {name for case in cases if case.labels is not None for name in case.labels}
    assert set(re.findall(r"\$labels\.(\w+)", alert.summary + alert.text)) <= labels


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: getattr(rule, "name", getattr(rule, "record", "")))
def test_a_rule_asks_for_metrics_that_exist(rule: Alert | Recording) -> None:
    for metric in selected(rule.expr):
        assert metric.metric in {*exposed(), *RECORDED, "up"}
        if metric.metric in exposed():
            assert set(metric.labels) <= exposed()[metric.metric].labels
        if OF_THE_HUB.match(metric.metric):
            around = [word for word in metric.inside if " by " in word]
            assert around[-1].startswith(("max by (hub", "min by (hub")), f"{metric.metric} is said by one for all"


@pytest.mark.requires_tool("promtool", package="prometheus")
def test_promtool_reads_the_rules() -> None:
    paths = [str(path) for path in RULE_FILES if ".test." not in path.name]
    assert len(paths) == len(SETS)
    _promtool("check", "rules", "--lint=all", "--lint-fatal", *paths)


@pytest.mark.requires_tool("promtool", package="prometheus")
@pytest.mark.parametrize("tests", [path for path in RULE_FILES if ".test." in path.name], ids=_name)
def test_every_alert_fires_and_does_not_fire(tests: Path) -> None:
    _promtool("test", "rules", str(tests))


@pytest.mark.parametrize("name", SETS)
def test_the_kubernetes_object_holds_the_same_rules(name: str) -> None:
    plain = yaml.safe_load((FOLDER / "rules" / f"{name}.yaml").read_text())
    resource = yaml.safe_load((FOLDER / "kubernetes" / f"{name}.yaml").read_text())
    assert resource["apiVersion"] == "monitoring.coreos.com/v1"
    assert (resource["kind"], resource["metadata"]["name"]) == ("PrometheusRule", name)
    assert resource["spec"] == plain


def test_the_runbook_may_lie_elsewhere() -> None:
    made = files("https://wiki.example/runbook")
    assert "runbook_url: https://wiki.example/runbook#redurablenopollers\n" in made[FOLDER / "rules" / "redurable.yaml"]


def _promtool(*words: str) -> None:
    done = subprocess.run(["promtool", *words], capture_output=True, text=True, check=False, timeout=55)
    assert done.returncode == 0, done.stdout + done.stderr
