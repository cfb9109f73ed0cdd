"""Values, releases and namespaces that people really have, and that a chart easily gets wrong."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.support.helm import VERSIONS, HelmFailed, Manifest, find, pod_of, render

SERVICE = re.compile("[a-z]([-a-z0-9]{0,61}[a-z0-9])?")
NOT_TEXT = ("on", "yes", "true", "null")
"""Words that YAML takes for something else."""
DIGEST = f"sha256:{'0' * 64}"


@pytest.mark.parametrize("release", ["my.app", f"{'a' * 39}.{'b' * 13}", "redurable", "null"])
def test_every_release_and_namespace_has_names_that_kubernetes_takes(release: str) -> None:
    for manifest in render("trial", release=release, namespace="1e3", sets=["metrics.prometheusRule.enabled=true"]):
        metadata = manifest["metadata"]
        assert SERVICE.fullmatch(metadata["name"]), metadata
        assert metadata["namespace"] == "1e3"
        assert metadata["labels"]["app.kubernetes.io/instance"] == release


def test_a_release_whose_services_would_begin_with_a_digit_is_told_what_to_do() -> None:
    with pytest.raises(HelmFailed, match="objects cannot be named 123-redurable: set fullnameOverride"):
        render("minimal", release="123")
    named = render("minimal", release="123", sets=["fullnameOverride=on"])
    assert {m["metadata"]["labels"]["app.kubernetes.io/instance"] for m in named} == {"123"}
    assert find(named, "ServiceAccount", "on")
    assert all(pod["serviceAccountName"] == "on" for m in named if (pod := pod_of(m)) and m["kind"] != "Job")


def test_every_pool_has_the_labels_of_its_name() -> None:
    manifests = render("minimal", sets=[f"workers.{name}.app=orders:app" for name in NOT_TEXT])
    pools = [m for m in manifests if m["kind"] == "Deployment" and "pool" in str(m["metadata"]["labels"])]
    assert {_pool(m["spec"]["selector"]["matchLabels"]) for m in pools} == {"orders", *NOT_TEXT}
    assert {_pool(m["spec"]["template"]["metadata"]["labels"]) for m in pools} == {"orders", *NOT_TEXT}


def test_labels_of_the_values_stand_once_and_the_closer_ones_count() -> None:
    """Rendering fails when a key stands twice."""
    common = {r"app\.kubernetes\.io/part-of": "shop", "release": "all", "tier": "all"}
    monitored = [f"metrics.{kind}.enabled=true" for kind in ("podMonitor", "serviceMonitor", "prometheusRule")]
    sets = [f"commonLabels.{key}={value}" for key, value in common.items()]
    sets += [*monitored, "metrics.podMonitor.labels.release=prometheus", "workers.orders.podLabels.tier=money"]
    manifests = render("minimal", sets=sets)
    assert {m["metadata"]["labels"]["app.kubernetes.io/part-of"] for m in manifests} == {"shop"}
    assert find(manifests, "PodMonitor", "shop-redurable-workers")["metadata"]["labels"]["release"] == "prometheus"
    orders = find(manifests, "Deployment", "shop-redurable-orders")
    assert orders["metadata"]["labels"]["tier"] == "all"
    assert orders["spec"]["template"]["metadata"]["labels"]["tier"] == "money"


@pytest.mark.parametrize("version", VERSIONS)
def test_a_pool_may_be_recreated(version: str) -> None:
    """The API server refuses what is said of rolling updates beside that."""
    manifests = render("minimal", version, sets=["workers.orders.strategy.type=Recreate"])
    assert find(manifests, "Deployment", "shop-redurable-orders")["spec"]["strategy"] == {"type": "Recreate"}
    assert find(manifests, "Deployment", "shop-redurable-api")["spec"]["strategy"]["type"] == "RollingUpdate"


def test_a_variable_stands_once_and_the_closest_value_counts() -> None:
    """Helm 4 applies on the server's side, which refuses a name twice."""
    sets = ["env[0].name=LEVEL", "env[0].value=all", "env[1].name=REDURABLE_HUB", "env[1].value=own"]
    sets += ["workers.orders.env[0].name=LEVEL", "workers.orders.env[0].value=one"]
    for deployment, level in (("orders", "one"), ("api", "all")):
        env = _env(find(render("minimal", sets=sets), "Deployment", f"shop-redurable-{deployment}"))
        names = [entry["name"] for entry in env]
        assert len(set(names)) == len(names)
        assert {"name": "LEVEL", "value": level} in env
        assert {"name": "REDURABLE_HUB", "value": "own"} in env


def test_names_of_other_objects_stay_text() -> None:
    """A secret may be named 123, and its key `on`."""
    named = {"redis.existingSecret.name": "123", "redis.existingSecret.passwordKey": "on", "redis.tls.ca.name": "1e3"}
    (pod,) = [pod_of(find(_with_texts(named), "Deployment", "shop-redurable-orders"))]
    assert pod is not None
    password = next(e for e in pod["containers"][0]["env"] if e["name"] == "REDURABLE_REDIS_PASSWORD")
    assert password["valueFrom"]["secretKeyRef"] == {"name": "123", "key": "on"}
    assert {"name": "redis-ca", "configMap": {"name": "1e3"}} in pod["volumes"]


def test_a_tag_of_a_pools_own_is_not_lost_to_the_digest_of_another_image() -> None:
    sets = [f"image.digest={DIGEST}", "workers.orders.image.tag=next", "workers.vip.app=orders:app"]
    manifests = render("minimal", sets=[*sets, "workers.vip.image.repository=mirror/shop"])
    assert _image(find(manifests, "Deployment", "shop-redurable-orders")) == "redurable:next"
    assert _image(find(manifests, "Deployment", "shop-redurable-vip")) == f"mirror/shop@{DIGEST}"


@pytest.mark.parametrize(
    ("url", "port"),
    [
        ("rediss://redis.example:6380/0", 6380),
        ("redis://10.0.0.5", 6379),
        ("redis://[::1]:7000", 7000),
        ("redis://redis1", 6379),
    ],
)
def test_the_network_policy_lets_out_to_the_port_of_the_address(url: str, port: int) -> None:
    policy = find(
        render("minimal", sets=[f"redis.url={url}", "networkPolicy.enabled=true"]), "NetworkPolicy", "shop-redurable"
    )
    assert [rule["ports"][0]["port"] for rule in policy["spec"]["egress"]] == [53, port]


def test_what_a_pod_may_get_to_wait_for_is_divided_by_the_streams_it_waits_in() -> None:
    """The HPA goes by the trigger that wants the most pods: with 100 a pod and 16 partitions, 700 tasks want 7."""
    keda = "workers.orders.autoscaling.keda"
    sets = ["workers.orders.autoscaling.type=keda", f"{keda}.trigger=redis-streams", f"{keda}.redisAddress=redis:6379"]
    for partitions, share in ((16, "7"), (1, "100"), (256, "1")):
        manifests = render("minimal", sets=[*sets, f"hub.partitions={partitions}"])
        triggers = find(manifests, "ScaledObject", "shop-redurable-orders")["spec"]["triggers"]
        assert {trigger["metadata"]["lagCount"] for trigger in triggers} == {share}


def _with_texts(values: dict[str, str]) -> list[Manifest]:
    """What --set would read as a number is given as JSON."""
    return render("minimal", sets=[f'{name}="{value}"' for name, value in values.items()], how="--set-json")


def _pool(labels: dict[str, Any]) -> Any:
    return labels["redurable/pool"]


def _env(deployment: Manifest) -> list[dict[str, Any]]:
    return deployment["spec"]["template"]["spec"]["containers"][0]["env"]


def _image(deployment: Manifest) -> str:
    return deployment["spec"]["template"]["spec"]["containers"][0]["image"]
