"""The containers' command lines, with the environment that Kubernetes gives them, as processes on a real Valkey."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx2
import pytest
from prometheus_client.parser import text_string_to_metric_families

from redurable.store.redis.acl import Role, rule
from tests.deploy.containers import Container, expanded, started
from tests.support.helm import CHART, Manifest, find, helm, pod_of, render
from tests.support.servers import Server
from tests.support.shop_line import SOURCE
from tests.support.shops import free_port

pytestmark = [pytest.mark.timeout(150), pytest.mark.xdist_group("containers")]

HUB = "orders"
LONG = """

@app.activity
async def last() -> None:
    Path("lingering").write_text("begun")
    while not Path("enough").exists():
        await asyncio.sleep(0.02)
    Path("lingering").write_text("ended")


@app.orchestrator
async def long(ctx: OrchestrationContext) -> None:
    await ctx.call_activity(last)
"""
SECRETS = {
    ("redis", "password"): "secret",
    ("redis", "client-password"): "client-secret",
    ("api-keys", "read"): "read-0123456789abcdef",
    ("api-keys", "operate"): "operate-0123456789abcdef",
    ("api-keys", "admin"): "admin-0123456789abcdef",
    ("gateway", ""): "",
}
SETS = [
    f"hub.name={HUB}",
    "hub.partitions=3",
    "redis.existingSecret.urlKey=",
    "redis.url=redis://redis:6379",
    "redis.tls.ca.name=",
    "workers.orchestrations.drain.timeoutSeconds=15",
]

Run = Callable[..., Container]


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    running = Server("valkey9")
    with running.client() as admin:
        for role, password in ((Role.WORKER, "secret"), (Role.CLIENT, "client-secret")):
            allowed = [*rule(HUB, role).split(), f">{password}"]
            admin.execute_command(*allowed)  # pyright: ignore[reportUnknownMemberType]
    yield running
    running.stop()


@pytest.fixture(scope="module")
def manifests() -> list[Manifest]:
    return render("production", sets=SETS)


@pytest.fixture
def run(server: Server, tmp_path: Path) -> Iterator[Run]:
    """`run(manifest, ports={9464: 31234})` starts the manifest's container; it ends with the test."""
    (tmp_path / "orders.py").write_text(SOURCE + LONG)
    with ExitStack() as stack:

        def begin(manifest: Manifest, ports: dict[int, int] | None = None) -> Container:
            address = {"REDURABLE_REDIS_URL": server.url}
            return stack.enter_context(started(manifest, tmp_path, SECRETS, address, ports or {}))

        yield begin


def test_the_job_makes_the_hub_and_changes_nothing_when_it_is_repeated(manifests: list[Manifest], run: Run) -> None:
    job = find(manifests, "Job", "shop-redurable-init")
    for created in ("true", "false"):
        said = run(job).finished()
        assert re.search(r"hub +orders", said), said
        assert re.search(r"partitions +3", said), said
        assert re.search(rf"created +{created}", said), said


def test_a_worker_is_probed_scraped_and_drained(manifests: list[Manifest], run: Run) -> None:
    run(find(manifests, "Job", "shop-redurable-init")).finished()
    deployment = find(manifests, "Deployment", "shop-redurable-orchestrations")
    pool, port = _for_both_roles(deployment), free_port()
    worker = run(pool, {9464: port})
    worker.until("is ready")
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        worker.until_probe(probe, 200)
    with httpx2.Client(base_url=f"http://127.0.0.1:{port}") as http:
        endpoint = find(manifests, "PodMonitor", "shop-redurable-workers")["spec"]["podMetricsEndpoints"][0]
        names = {family.name for family in text_string_to_metric_families(http.get(endpoint["path"]).text)}
        assert {"redurable_turns", "redurable_worker_draining"} <= names

    worker.command("start", "long")
    worker.until_path("lingering")
    worker.send(signal.SIGTERM)
    worker.until_probe("readinessProbe", 503)  # It falls while the activity still runs:
    assert worker.probe("livenessProbe") == 200
    worker.write("enough", "")
    grace = deployment["spec"]["template"]["spec"]["terminationGracePeriodSeconds"]
    assert worker.ended(grace) == 0
    assert worker.read("lingering") == "ended"


def test_the_api_is_probed_asked_by_keda_and_scraped(manifests: list[Manifest], run: Run) -> None:
    run(find(manifests, "Job", "shop-redurable-init")).finished()
    port = free_port()
    api = run(find(manifests, "Deployment", "shop-redurable-api"), {8080: port})
    api.until("is ready")
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        api.until_probe(probe, 200)
    with httpx2.Client(base_url=f"http://127.0.0.1:{port}") as http:
        _ask_like_keda(http)
        _scrape_like_prometheus(http, manifests)
        assert http.get("/scaler").status_code == 401
        assert http.get("/metrics").status_code == 401
    api.send(signal.SIGTERM)
    assert api.ended(30) == 0


def _ask_like_keda(http: httpx2.Client) -> None:
    """By what the chart gives to KEDA: path, key and where the value is. The key of that role may do nothing else."""
    scaled = render("autoscaling", sets=["api.keys.existingSecret=api-keys"])
    (trigger,) = find(scaled, "ScaledObject", "shop-redurable-scaler")["spec"]["triggers"]
    metadata = trigger["metadata"]
    login = find(scaled, "TriggerAuthentication", trigger["authenticationRef"]["name"])["spec"]["secretTargetRef"][0]
    assert (metadata["authMode"], metadata["method"], login["parameter"]) == ("apiKey", "header", "apiKey")
    headers = {metadata["keyParamName"]: SECRETS[login["name"], login["key"]]}
    said = http.get(re.sub(r"^http://[^/]+", "", metadata["url"]), headers=headers)
    assert (said.status_code, metadata["valueLocation"]) == (200, "@this")
    assert float(said.text) == 0
    refused = http.delete("/runtime/webhooks/durabletask/instances/x", headers=headers)
    assert refused.status_code == 403


def _scrape_like_prometheus(http: httpx2.Client, manifests: list[Manifest]) -> None:
    (endpoint,) = find(manifests, "ServiceMonitor", "shop-redurable-api")["spec"]["endpoints"]
    login = endpoint["authorization"]["credentials"]
    headers = {"Authorization": f"{endpoint['authorization']['type']} {SECRETS[login['name'], login['key']]}"}
    said = http.get(endpoint["path"], headers=headers)
    assert said.status_code == 200
    assert "redurable_http_requests_total" in said.text


def test_helm_test_runs_an_orchestration(manifests: list[Manifest], run: Run) -> None:
    run(find(manifests, "Job", "shop-redurable-init")).finished()
    pod = next(m for m in manifests if m["kind"] == "Pod")
    assert run(pod).finished().splitlines()[-1] == f"hub {HUB}: an orchestration ran from its start to its result"


def test_variables_are_expanded_as_kubernetes_does_it() -> None:
    env = [{"name": "A", "value": "1"}, {"name": "B", "value": "$(A)-$(C)-$$(A)"}, {"name": "C", "value": "3"}]
    assert expanded(env, {}) == {"A": "1", "B": "1-$(C)-$(A)", "C": "3"}


def test_the_notes_say_what_was_installed() -> None:
    """By helm 4: helm 3 asks a cluster even for that (`make test-cluster` sees it)."""

    def notes(case: str) -> str:
        values = str(CHART / "ci" / f"{case}-values.yaml")
        words = ("install", "shop", str(CHART), "--dry-run=client", "--namespace", "shops", "--values", values)
        return helm("helm4", *words).partition("NOTES:\n")[2]

    said = notes("autoscaling")
    assert "Pool scaler: orders:app, activities, queues payments; 0 to 10 pods by keda." in said
    assert "get secret shop-redurable-api-keys" in said
    assert "helm test --namespace shops shop" in said
    assert "Pool payments: orders:app, activities, queues payments, vip payments; 2 pods." in notes("production")
    assert "THIS IS A TRIAL" in notes("trial")
    assert "THIS IS A TRIAL" not in notes("minimal")


def _for_both_roles(deployment: Manifest) -> Manifest:
    """The pool as it is, but with activities, too: one worker has to do."""
    copy: dict[str, Any] = json.loads(json.dumps(deployment))
    pod = pod_of(copy)
    assert pod is not None
    pod["containers"][0]["args"].remove("--roles=orchestrations")
    return copy
