"""Every pod is restricted, probed, limited and stoppable; objects find each other by labels that never change."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.helm import CASES, Manifest, find, pods, render

LABELS = {
    "helm.sh/chart",
    "app.kubernetes.io/name",
    "app.kubernetes.io/instance",
    "app.kubernetes.io/version",
    "app.kubernetes.io/managed-by",
}
UNCHANGING = {
    "app.kubernetes.io/name",
    "app.kubernetes.io/instance",
    "app.kubernetes.io/component",
    "redurable/pool",
}


@pytest.mark.parametrize("case", CASES)
def test_pods_are_restricted(case: str) -> None:
    """The restricted Pod Security Standard, and what goes beyond it: no token, no writable root, no service links."""
    for name, pod in pods(render(case)):
        security = pod["securityContext"]
        assert security["runAsNonRoot"] is True, name
        assert security["runAsUser"] > 0, name
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert pod["automountServiceAccountToken"] is False, name
        assert pod["enableServiceLinks"] is False, name
        assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod), name
        assert all("hostPath" not in volume for volume in pod.get("volumes", ())), name
        for container in pod["containers"]:
            own = container["securityContext"]
            assert own["allowPrivilegeEscalation"] is False, name
            assert own["readOnlyRootFilesystem"] is True, name
            assert own["capabilities"] == {"drop": ["ALL"]}, name
            assert all("hostPort" not in port for port in container.get("ports", ())), name


@pytest.mark.parametrize("case", CASES)
def test_containers_say_what_they_need_and_have_a_memory_limit(case: str) -> None:
    for name, pod in pods(render(case)):
        for container in pod["containers"]:
            assert set(container["resources"]["requests"]) == {"cpu", "memory"}, name
            assert "memory" in container["resources"]["limits"], name
            assert "cpu" not in container["resources"]["limits"], f"{name}: a throttled worker loses its leases"
            assert ":latest" not in container["image"], name


@pytest.mark.parametrize("case", CASES)
def test_what_runs_for_long_is_probed(case: str) -> None:
    for manifest in _of_kind(render(case), "Deployment"):
        for container in manifest["spec"]["template"]["spec"]["containers"]:
            paths = {probe: container[probe]["httpGet"]["path"] for probe in ("livenessProbe", "readinessProbe")}
            assert paths == {"livenessProbe": "/livez", "readinessProbe": "/readyz"}
            assert container["startupProbe"]["httpGet"]["path"] == "/livez"
            named = {port["name"] for port in container["ports"]}
            assert container["livenessProbe"]["httpGet"]["port"] in named


@pytest.mark.parametrize("case", CASES)
def test_a_pod_has_more_time_than_its_drain(case: str) -> None:
    for manifest in _of_kind(render(case), "Deployment"):
        pod = manifest["spec"]["template"]["spec"]
        (container,) = pod["containers"]
        env = {entry["name"]: entry.get("value") for entry in container["env"]}
        drain = int(env.get("REDURABLE_DRAIN_TIMEOUT_MS", 20_000)) / 1000
        hook = container.get("lifecycle", {}).get("preStop", {}).get("exec", {}).get("command", ["sleep", "0"])
        if env.get("REDURABLE_DRAIN_TIMEOUT_MS"):
            assert pod["terminationGracePeriodSeconds"] >= drain + int(hook[1]) + 1
        assert container["command"][0] == "redurable", "process 1 has to be redurable, so that it hears SIGTERM"


@pytest.mark.parametrize("case", CASES)
def test_selectors_find_exactly_their_pods_by_labels_that_never_change(case: str) -> None:
    manifests = render(case)
    owned = {
        m["metadata"]["name"]: m["spec"]["template"]["metadata"]["labels"]
        for m in manifests
        if m["kind"] in ("Deployment", "StatefulSet")
    }
    for manifest in manifests:
        selector = _selector(manifest)
        if selector is None:
            continue
        assert set(selector) <= UNCHANGING
        found = {name for name, labels in owned.items() if selector.items() <= labels.items()}
        if manifest["kind"] in ("Deployment", "StatefulSet", "PodDisruptionBudget", "Service"):
            assert found == {manifest["metadata"]["name"]}
        else:
            assert found


@pytest.mark.parametrize("case", CASES)
def test_objects_are_labelled_named_once_and_in_the_release(case: str) -> None:
    manifests = [m for m in render(case) if m["metadata"]["name"] != "shop-extra"]
    names = [(m["kind"], m["metadata"]["name"]) for m in manifests]
    assert len(set(names)) == len(names)
    for manifest in manifests:
        assert set(manifest["metadata"]["labels"]) >= LABELS
        assert manifest["metadata"]["namespace"] == "shops"
        assert manifest["metadata"]["name"].startswith("shop")
        assert len(manifest["metadata"]["name"]) <= 63


def test_secrets_are_referred_to_and_never_written_out() -> None:
    (pod,) = [pod for name, pod in pods(render("production")) if name.endswith("-payments")]
    env = {entry["name"]: entry for entry in pod["containers"][0]["env"]}
    assert env["REDURABLE_REDIS_PASSWORD"]["valueFrom"]["secretKeyRef"] == {"name": "redis", "key": "password"}
    assert env["REDURABLE_REDIS_USERNAME"]["value"] == "orders-worker"
    assert env["REDURABLE_REDIS_CA_FILE"]["value"] == "/etc/redurable/redis-ca/ca.crt"
    assert env["REDURABLE_MAX_PAYLOAD_BYTES"]["value"] == "2097152"
    assert env["REDURABLE_CONCURRENCY"]["value"] == "20"
    assert {"name": "redis-ca", "secret": {"secretName": "redis-ca"}} in pod["volumes"]


def test_a_pool_overrides_only_what_it_names() -> None:
    manifests = render("production")
    payments = find(manifests, "Deployment", "shop-redurable-payments")
    (container,) = payments["spec"]["template"]["spec"]["containers"]
    assert container["image"] == "registry.example/payments:7"
    assert container["args"] == [
        "worker",
        "orders:app",
        "--roles=activities",
        "--task-queue=payments",
        "--task-queue=vip payments",
        "--metrics-port=9464",
    ]
    assert payments["spec"]["replicas"] == 2
    orchestrations = find(manifests, "Deployment", "shop-redurable-orchestrations")
    (container,) = orchestrations["spec"]["template"]["spec"]["containers"]
    assert container["image"].startswith("registry.example/shop@sha256:")


def test_an_autoscaler_alone_says_how_many_pods_there_are() -> None:
    manifests = render("autoscaling")
    scaled = [m for m in _of_kind(manifests, "Deployment") if "redurable/pool" in m["metadata"]["labels"]]
    assert len(scaled) == 4
    assert all("replicas" not in m["spec"] for m in scaled)
    targets = {m["spec"]["scaleTargetRef"]["name"] for m in manifests if "scaleTargetRef" in m.get("spec", {})}
    assert targets == {m["metadata"]["name"] for m in scaled}


def test_the_api_is_asked_for_the_pools_own_work_with_a_key_that_may_only_read() -> None:
    manifests = render("autoscaling")
    (trigger,) = find(manifests, "ScaledObject", "shop-redurable-scaler")["spec"]["triggers"]
    assert trigger["metadata"]["url"] == (
        "http://shop-redurable-api.shops.svc:80/scaler?role=activities&taskQueue=payments"
    )
    login = find(manifests, "TriggerAuthentication", trigger["authenticationRef"]["name"])
    assert [target["key"] for target in login["spec"]["secretTargetRef"]] == ["read"]


def test_stock_triggers_watch_the_streams_of_every_partition() -> None:
    triggers = find(render("autoscaling"), "ScaledObject", "shop-redurable-streams")["spec"]["triggers"]
    watched = {t["metadata"]["stream"] for t in triggers if t["type"] == "redis-streams"}
    streams = ("ready", "tasks:default", "tasks:payments")
    assert watched == {f"rd:{{main:p{number}}}:{stream}" for number in (0, 1) for stream in streams}
    assert all(t["metadata"]["consumerGroup"] == "w" for t in triggers if t["type"] == "redis-streams")


def _of_kind(manifests: list[Manifest], kind: str) -> Iterator[Manifest]:
    return (m for m in manifests if m["kind"] == kind)


def _selector(manifest: Manifest) -> dict[str, Any] | None:
    match manifest["kind"]:
        case "Service":
            return manifest["spec"]["selector"]
        case "Deployment" | "StatefulSet" | "PodDisruptionBudget" | "PodMonitor" | "ServiceMonitor":
            return manifest["spec"]["selector"].get("matchLabels")
        case _:
            return None
