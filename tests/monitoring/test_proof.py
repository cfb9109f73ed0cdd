"""On real parts: under a load in which each fault happens, every panel shows data and every rule can be evaluated."""

from __future__ import annotations

import subprocess
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import suppress
from pathlib import Path
from urllib.request import urlopen

import anyio.to_thread
import pytest
from msgspec.structs import replace

from grafana.__main__ import DASHBOARDS
from grafana.to_json import to_json
from prometheus.files import SETS
from prometheus.model import Recording
from tests.monitoring.proof import Proof, proven
from tests.support.processes import until

pytestmark = pytest.mark.timeout(180)

HAPPENED = {
    "poison": 'redurable_quarantines_total{reason="poison"}',
    "nondeterminism": 'redurable_quarantines_total{reason="nondeterminism"}',
    "healed": "redurable_quarantines_ended_total",
    "a late timer": 'redurable_timer_lateness_seconds_bucket{le="+Inf"} - ignoring (le) '
    'redurable_timer_lateness_seconds_bucket{le="1.0"}',
    "a fenced commit": 'redurable_commit_conflicts_total{reason="fenced"}',
    "a dead letter": 'redurable_messages_deadlettered_total{reason="malformed"}',
    "dead letters that lie there": "redurable_deadletter_messages",
    "a lease that was taken over": "redurable_leases_reclaimed_total",
    "a lost connection": "redurable_redis_reconnects_total",
    "an error of Redis": "redurable_redis_errors_total",
    "a refused payload": 'redurable_payload_rejected_total{reason="invalid_payload"}',
    "a history near its cap": "redurable_history_cap_ratio_count\n"
    '- ignoring (le) redurable_history_cap_ratio_bucket{le="0.8"}',
    "a replay": "redurable_replay_duration_seconds_count",
    "an eviction": 'redurable_cache_evictions_total{reason="full"}',
}
"""The highest value must be above 0."""


@pytest.fixture
async def proof(hub: str, tmp_path: Path, requires_tool: Callable[..., str]) -> AsyncGenerator[Proof, None]:
    async with proven(requires_tool("prometheus", package="prometheus"), hub, tmp_path) as made:
        yield made


@pytest.mark.requires_tool("promtool", package="prometheus")
async def test_every_panel_shows_data_and_every_rule_is_evaluated(proof: Proof) -> None:
    wrong = await _what_is_wrong(proof)

    async def is_right() -> bool:
        """On a busy machine a scrape or an evaluation comes late: what was wrong may be right a moment later."""
        wrong.intersection_update(await _what_is_wrong(replace(proof, end=time.time())) if wrong else ())
        return not wrong

    with suppress(AssertionError):
        await until(is_right, "nothing is wrong")
    assert wrong == set()
    for port in proof.load.ports:
        await _check_exposition(port)


async def _what_is_wrong(proof: Proof) -> set[tuple[str, ...]]:
    found: dict[str, Sequence[str | tuple[str, ...]]] = {
        "it did not happen": await _what_did_not_happen(proof),
        "a panel without data": await _panels_without_data(proof),
        "a choice without values": await _choices_without_values(proof),
        "a rule that fails": await _rules_that_fail(proof),
        "a recording without data": await _recordings_without_data(proof),
    }
    return {(what, *([one] if isinstance(one, str) else one)) for what, wrong in found.items() for one in wrong}


async def _what_did_not_happen(proof: Proof) -> list[str]:
    async def greatest(expr: str) -> float:
        found = await proof.prometheus.range(expr, proof.start, proof.end)
        return max((value for series in found for _, value in series.points), default=-1)

    return [what for what, expr in HAPPENED.items() if await greatest(expr) <= 0]


async def _panels_without_data(proof: Proof) -> list[tuple[str, str, str]]:
    """Every query on its own, not only one of each panel."""
    return [
        (dashboard.uid, panel.title, proof.asked(query.expr))
        for dashboard in DASHBOARDS
        for panel in dashboard.panels
        for query in panel.queries
        if not await proof.series(panel, query)
    ]


async def _choices_without_values(proof: Proof) -> list[tuple[str, str]]:
    """Also parses the queries of annotations."""
    for dashboard in DASHBOARDS:
        for note in to_json(dashboard)["annotations"]["list"]:
            await proof.prometheus.range(proof.asked(note["expr"]), proof.start, proof.end)
    return [
        (dashboard.uid, variable.name)
        for dashboard in DASHBOARDS
        for variable in dashboard.variables
        if not await proof.prometheus.values(variable.name, proof.asked(variable.metric))
    ]


async def _rules_that_fail(proof: Proof) -> list[tuple[str, str]]:
    rules = await proof.prometheus.rules()
    assert len(rules) == sum(len(group.rules) for groups in SETS.values() for group in groups)
    return [(rule["name"], rule.get("lastError", "")) for rule in rules if rule["health"] != "ok"]


async def _recordings_without_data(proof: Proof) -> list[str]:
    recorded = [
        rule.record
        for groups in SETS.values()
        for group in groups
        for rule in group.rules
        if isinstance(rule, Recording)
    ]
    empty: list[str] = []
    for record in recorded:
        found = await proof.prometheus.range(record, proof.start, proof.end)
        if not any(series.points for series in found):
            empty.append(record)
    return empty


async def _check_exposition(port: int) -> None:
    def check() -> None:
        with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=15) as answer:
            text = answer.read()
        done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr.decode()

    await anyio.to_thread.run_sync(check)
