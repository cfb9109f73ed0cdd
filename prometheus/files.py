"""The rules as files: plain ones for `rule_files` of Prometheus, PrometheusRule objects for its operator, and the tests
of the alerts for promtool."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from prometheus.case import Case, Scene
from prometheus.instance_cases import INSTANCE_CASES
from prometheus.model import Alert, Group, Recording
from prometheus.orchestrations import ORCHESTRATIONS
from prometheus.queue_cases import QUEUE_CASES
from prometheus.queues import QUEUES
from prometheus.recordings import RECORDINGS
from prometheus.redis import REDIS
from prometheus.redis_cases import REDIS_CASES, SLO_CASES
from prometheus.scenes import SCENES
from prometheus.slo import SLO
from prometheus.worker_cases import WORKER_CASES
from prometheus.workers import WORKERS

FOLDER = Path(__file__).parent
RUNBOOK = "docs/runbook.md"
NOTE = "# Made by `make docs` from prometheus/*.py: change those, not this.\n"

SETS: dict[str, tuple[Group, ...]] = {
    "redurable": (RECORDINGS, WORKERS, ORCHESTRATIONS, QUEUES, REDIS),
    "redurable-slo": (SLO,),
}
"""The rules for everybody, and those for who wants an objective."""

CASES: dict[str, tuple[Case, ...]] = {
    "redurable": (*WORKER_CASES, *INSTANCE_CASES, *QUEUE_CASES, *REDIS_CASES),
    "redurable-slo": SLO_CASES,
}

Yaml = dict[str, Any]


def alerts() -> tuple[Alert, ...]:
    """Every alert, in order."""
    return tuple(r for groups in SETS.values() for group in groups for r in group.rules if isinstance(r, Alert))


def files(runbook: str = RUNBOOK) -> dict[Path, str]:
    """Every file and what is in it."""
    made: dict[Path, str] = {}
    for name, groups in SETS.items():
        rules = {"groups": [_group(group, runbook) for group in groups]}
        made[FOLDER / "rules" / f"{name}.yaml"] = _dump(rules)
        made[FOLDER / "kubernetes" / f"{name}.yaml"] = _dump(_resource(name, rules))
        made[FOLDER / "rules" / f"{name}.test.yaml"] = _dump(_tests(name))
    return made


def _resource(name: str, rules: Yaml) -> Yaml:
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": name, "labels": {"app.kubernetes.io/name": "redurable"}},
        "spec": rules,
    }


def _group(group: Group, runbook: str) -> Yaml:
    return {"name": group.name, "rules": [_rule(rule, runbook) for rule in group.rules]}


def _rule(rule: Recording | Alert, runbook: str) -> Yaml:
    if isinstance(rule, Recording):
        return {"record": rule.record, "expr": _block(rule.expr)}
    return {
        "alert": rule.name,
        "expr": _block(rule.expr),
        "for": rule.held,
        "labels": {"severity": rule.severity},
        "annotations": {
            "summary": rule.summary,
            "description": rule.text,
            "runbook_url": f"{runbook}#{rule.name.lower()}",
            "dashboard_url": f"/d/{rule.dashboard}?var-hub={{{{ $labels.hub }}}}",
        },
    }


def _tests(name: str) -> Yaml:
    by_alert: dict[str, list[Case]] = {}
    for case in CASES[name]:
        by_alert.setdefault(case.alert, []).append(case)
    scenes = SCENES if name == "redurable" else ()
    return {
        "rule_files": [f"{name}.yaml"],
        "evaluation_interval": "1m",
        "tests": [*(_cases(*found) for found in by_alert.items()), *map(_scene, scenes)],
    }


def _cases(alert: str, cases: Sequence[Case]) -> Yaml:
    """All cases of an alert in one test: each is a hub of its own, which is called what the case is about."""
    severity = {known.name: known.severity for known in alerts()}[alert]
    series: dict[str, str] = {}
    asked: list[Yaml] = []
    for case in cases:
        hub = re.sub(r"\W+", "-", case.why.lower())
        series |= {_moved(label, hub): values for label, values in case.series.items()}
        found: list[Yaml] = []
        if case.labels is not None:
            labels = {"alertname": alert, "alertstate": "firing", "severity": severity, **case.labels}
            found = [{"labels": _moved(f"ALERTS{_labels(labels)}", hub), "value": 1}]
        asked.append(_ask(f'ALERTS{{alertname="{alert}", alertstate="firing", hub="{hub}"}}', case.at, found))
    return _test(alert, series, asked)


def _moved(series: str, hub: str) -> str:
    return series.replace('hub="shop"', f'hub="{hub}"').replace('job="workers"', f'job="{hub}"')


def _scene(scene: Scene) -> Yaml:
    asked = [_ask('ALERTS{alertstate="firing"}', at, []) for at in scene.at]
    return _test(f"No alert fires: {scene.name}", scene.series, asked)


def _test(name: str, series: Mapping[str, str], asked: list[Yaml]) -> Yaml:
    given = [{"series": label, "values": values} for label, values in series.items()]
    return {"name": name, "interval": "1m", "input_series": given, "promql_expr_test": asked}


def _ask(query: str, at: str, found: list[Yaml]) -> Yaml:
    return {"expr": query, "eval_time": at, "exp_samples": found}


def _labels(labels: Mapping[str, str]) -> str:
    return "{" + ", ".join(f'{name}="{value}"' for name, value in labels.items()) + "}"


class _Block(str):
    """A text that is written line by line."""


def _block(text: str) -> _Block:
    return _Block(text + "\n")


class _Dumper(yaml.SafeDumper):
    """Without anchors, so that every rule stands for itself."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _represent(dumper: yaml.SafeDumper, text: _Block) -> yaml.ScalarNode:
    # The stubs of PyYAML leave this untyped.
    return dumper.represent_scalar("tag:yaml.org,2002:str", str(text), style="|")  # pyright: ignore[reportUnknownMemberType]


_Dumper.add_representer(_Block, _represent)


def _dump(value: Yaml) -> str:
    return NOTE + yaml.dump(value, Dumper=_Dumper, sort_keys=False, width=120, allow_unicode=True)
