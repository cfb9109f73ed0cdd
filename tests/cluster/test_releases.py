"""A release's life on a real API server: install, upgrade, roll back, uninstall."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cluster.cluster import Cluster, definitions
from tests.conftest import find_tool
from tests.support.helm import CASES, CHART, VERSIONS, Manifest, pods, render

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

NAMESPACE = "shops"
RESTRICTED = "pod-security.kubernetes.io/enforce=restricted"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with Cluster(tmp_path_factory.mktemp("cluster")) as running:
        running.kubectl("apply", "--server-side", *(word for file in definitions() for word in ("-f", file)))
        running.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=30s")
        running.kubectl("create", "namespace", NAMESPACE)
        running.kubectl("label", "namespace", NAMESPACE, RESTRICTED)
        yield running


def helm(cluster: Cluster, version: str, *words: str) -> str:
    return cluster.run(find_tool(version, package="fetched by make test-cluster"), *words, "--namespace", NAMESPACE)


def objects_of(cluster: Cluster, release: str) -> dict[str, Any]:
    kinds = (
        "deployments,statefulsets,services,serviceaccounts,poddisruptionbudgets,horizontalpodautoscalers,ingresses,"
        "networkpolicies,configmaps,scaledobjects,triggerauthentications,podmonitors,servicemonitors,prometheusrules"
    )
    found = cluster.get("--namespace", NAMESPACE, kinds, "-l", f"app.kubernetes.io/instance={release}")
    return {f"{item['kind']}/{item['metadata']['name']}": item for item in found["items"]}


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("case", CASES)
def test_the_life_of_a_release(cluster: Cluster, version: str, case: str) -> None:
    """Hooks need pods, which do not run here: they are left out, and admitted by the next test."""
    release = f"{case}-{version}"
    values = ("--values", str(CHART / "ci" / f"{case}-values.yaml"))
    helm(cluster, version, "install", release, str(CHART), *values, "--no-hooks")
    first = objects_of(cluster, release)
    assert any(name.startswith("Deployment/") for name in first)

    change = ("--set", "commonLabels.changed=yes", "--set", "api.replicas=4")
    helm(cluster, version, "upgrade", release, str(CHART), *values, *change, "--no-hooks")
    second = objects_of(cluster, release)
    assert set(second) == set(first)
    api = f"Deployment/{release}-redurable-api"
    assert (first[api]["spec"]["replicas"], second[api]["spec"]["replicas"]) != (4, 4)
    assert second[api]["spec"]["replicas"] == 4
    assert all(item["metadata"]["labels"]["changed"] == "yes" for item in second.values())

    helm(cluster, version, "rollback", release, "1", "--no-hooks")
    third = objects_of(cluster, release)
    assert third[api]["spec"] == first[api]["spec"]

    helm(cluster, version, "uninstall", release, "--no-hooks")
    assert objects_of(cluster, release) == {}


@pytest.mark.parametrize("version", VERSIONS)
def test_unusual_values_are_taken(cluster: Cluster, version: str) -> None:
    """Names that YAML takes for something else, a variable twice, another strategy later on."""
    release, values = f"un.usual.{version}", ("--values", str(CHART / "ci" / "minimal-values.yaml"), "--no-hooks")
    pool = (
        "--set-string",
        "workers.on.app=orders:app,redis.existingSecret.name=123,redis.existingSecret.passwordKey=on",
    )
    env = (
        "--set-json",
        'env=[{"name":"LEVEL","value":"all"}]',
        "--set-json",
        'workers.on.env=[{"name":"LEVEL","value":"1"}]',
    )
    helm(cluster, version, "install", release, str(CHART), *values, *pool, *env)
    helm(
        cluster,
        version,
        "upgrade",
        release,
        str(CHART),
        *values,
        *pool,
        *env,
        "--set",
        "workers.on.strategy.type=Recreate",
    )
    found = objects_of(cluster, release)[f"Deployment/un-usual-{version}-redurable-on"]["spec"]
    assert found["strategy"] == {"type": "Recreate"}
    helm(cluster, version, "uninstall", release, "--no-hooks")


def test_an_upgrade_keeps_the_api_keys_that_were_made(cluster: Cluster) -> None:
    values = ("--values", str(CHART / "ci" / "minimal-values.yaml"), "--no-hooks")

    def keys() -> dict[str, str]:
        return cluster.get("--namespace", NAMESPACE, "secret", "keys-redurable-api-keys")["data"]

    helm(cluster, "helm4", "install", "keys", str(CHART), *values)
    made = keys()
    assert set(made) == {"read", "operate", "admin"}
    assert len(set(made.values())) == 3
    helm(cluster, "helm4", "upgrade", "keys", str(CHART), *values)
    assert keys() == made
    helm(cluster, "helm4", "uninstall", "keys", "--no-hooks")
    assert keys() == made, "who has a key goes on having it"


@pytest.mark.parametrize("case", CASES)
def test_every_pod_is_admitted_where_only_restricted_pods_are(cluster: Cluster, case: str, tmp_path: Path) -> None:
    """The hooks' and the test's too: made for real in a dry run on the server."""
    found = list(pods(render(case)))
    assert any(name.startswith("Job/") for name, _ in found)
    for number, (name, pod) in enumerate(found):
        spec = _alone(name.partition("/")[0], pod)
        metadata = {"name": f"pod-{number}", "namespace": NAMESPACE}
        manifest = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}
        file = tmp_path / f"{number}.yaml"
        file.write_text(yaml.safe_dump(manifest))
        cluster.kubectl("apply", "--dry-run=server", "--validate=strict", "-f", str(file))


def _alone(kind: str, pod: Manifest) -> Manifest:
    """The pod of that kind of object as one of its own. A priority class would have to be there, and a volume."""
    spec = {field: value for field, value in pod.items() if field != "priorityClassName"}
    if kind not in ("Pod", "Job"):
        spec["restartPolicy"] = "Always"
    if kind == "StatefulSet":
        spec["volumes"] = [{"name": "data", "emptyDir": {}}]
    return spec
