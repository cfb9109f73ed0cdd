"""What is refused before anything reaches a cluster, and that the message names the value."""

from __future__ import annotations

import pytest

from tests.support.helm import VERSIONS, HelmFailed, render

UNKNOWN_OR_WRONG = {
    "replica=3": "replica",
    "workers.orders.replica=3": "replica",
    "workers.orders.replicas=many": "replicas",
    "workers.orders.app=orders.app": "app",
    "workers.orders.roles[0]=workflows": "roles",
    "workers.orders.autoscaling.type=vpa": "type",
    "workers.orders.drain.timeoutSeconds=0": "timeoutSeconds",
    "workers.orders.resources.limit.memory=1Gi": "limit",
    "workers.Orders_1.app=orders:app": "Orders_1",
    "hub.name=Orders": "name",
    "hub.partitions=0": "partitions",
    "redis.url=localhost:6379": "url",
    "redis.url=redis://user:secret@host": "url",
    "redis.password=secret": "password",
    "api.port=99999": "port",
    "api.service.type=Ingress": "type",
    "image.digest=sha256:abc": "digest",
    "settings.MAX=1": "MAX",
    "settings.concurency=5": "concurency",
    "workers.orders.settings.metrics_port=9000": "metrics_port",
    "metrics.podMonitor.interval=often": "interval",
    "valkey.replicas=3": "replicas",
    "env[0].value=x": "name",
    "workers.orders.env[0].value=1": "value",
}

CANNOT_WORK = {
    ("redis.url=",): "say where Redis is",
    ("redis.url=", "redis.existingSecret.passwordKey=p", "valkey.enabled=true"): "name the secret, too",
    ("valkey.enabled=true",): "leave redis.url and redis.existingSecret empty",
    ("workers.orders.replicas=2", "workers.orders.autoscaling.type=keda"): "leave replicas out",
    ("workers.orders.autoscaling.type=hpa", "workers.orders.autoscaling.minReplicas=0"): "cannot wake a pool from 0",
    ("workers.orders.autoscaling.type=keda", "workers.orders.autoscaling.minReplicas=0"): "say with keda.wakeUp",
    ("workers.orders.autoscaling.type=hpa", "workers.orders.autoscaling.minReplicas=20"): "is above maxReplicas",
    ("workers.orders.autoscaling.type=keda", "api.enabled=false"): "set api.enabled to true",
    (
        "workers.orders.autoscaling.type=keda",
        "workers.orders.autoscaling.keda.trigger=prometheus",
    ): "keda.prometheusServer is missing",
    (
        "workers.orders.autoscaling.type=hpa",
        "workers.orders.autoscaling.hpa.targetCPUUtilizationPercentage=0",
    ): "needs something to go by",
    ("api.ingress.enabled=true",): "set api.ingress.hosts",
    ("workers.api.app=orders:app",): "workers.api: a pool cannot be named api",
    ("redis.existingSecret.name=redis",): "takes nothing from the secret: set passwordKey",
    ("settings.drain_timeout_ms=60000",): "set drain.timeoutSeconds instead",
    ("workers.orders.settings.drain_timeout_ms=60000",): "workers.orders: .* set drain.timeoutSeconds instead",
    ("api.preStopSleepSeconds=30",): "would be killed before it is asked to stop",
    ("redis.url=", "valkey.enabled=true", "hub.partitions=4"): "leave hub.partitions at 16",
    (r"commonLabels.app\.kubernetes\.io/name=shop",): "label app.kubernetes.io/name is what selectors go by",
    ("workers.orders.podLabels.redurable/pool=vip",): "label redurable/pool is what selectors go by",
    ("fullnameOverride=1shop",): "objects cannot be named 1shop",
}


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(("value", "named"), UNKNOWN_OR_WRONG.items())
def test_a_value_that_is_unknown_or_wrong_is_named(version: str, value: str, named: str) -> None:
    with pytest.raises(HelmFailed, match=r"values don't meet the specifications of the schema") as caught:
        render("minimal", version, [value])
    assert named in str(caught.value)


@pytest.mark.parametrize(("values", "said"), CANNOT_WORK.items())
def test_values_that_cannot_work_together_are_refused_with_what_to_do(values: tuple[str, ...], said: str) -> None:
    with pytest.raises(HelmFailed, match=said):
        render("minimal", sets=values)


def test_a_pool_needs_an_app() -> None:
    with pytest.raises(HelmFailed, match="app"):
        render("minimal", sets=["workers.second.replicas=1"])
