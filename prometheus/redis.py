"""Alerts about the way to Redis, and about Redis itself."""

from __future__ import annotations

from prometheus.model import Alert, Group


def errors(kind: str) -> str:
    """Commands per second that fail in that way."""
    return f'sum by (hub) (rate(redurable_redis_errors_total{{error="{kind}"}}[5m]))'


REDIS = Group(
    "redurable.redis",
    (
        Alert(
            "RedurableRedisErrors",
            "sum by (hub, error) (rate(redurable_redis_errors_total[5m])) > 0.05",
            "10m",
            "warning",
            "Commands to the Redis of hub {{ $labels.hub }} fail: {{ $labels.error }}",
            "{{ $value | humanize }} commands a second fail. Workers repeat them; work is late, and nothing is lost.",
            "redurable-redis",
        ),
        Alert(
            "RedurableRedisDown",
            "min by (hub) (time() - (redurable_store_last_answer_timestamp_seconds > 0)) > 30\n"
            '  and on (hub) sum by (hub) (rate(redurable_redis_errors_total{error=~"unavailable|timeout"}[5m])) > 0',
            "2m",
            "critical",
            "No worker of hub {{ $labels.hub }} reaches Redis",
            "No worker has been answered for {{ $value | humanizeDuration }}. Nothing goes on until Redis is back.",
            "redurable-redis",
        ),
        Alert(
            "RedurableRedisFull",
            f"{errors('full')} > 0",
            "1m",
            "critical",
            "The Redis of hub {{ $labels.hub }} is out of memory",
            "It refuses writes. New starts and events are refused; work in flight drains.",
            "redurable-redis",
        ),
        Alert(
            "RedurableStoreDamaged",
            f"{errors('damaged')} > 0",
            "1m",
            "critical",
            "Keys of hub {{ $labels.hub }} were overwritten",
            "Another program wrote over a key of the hub. What depends on that key stands still.",
            "redurable-redis",
        ),
        Alert(
            "RedurableRedisSlow",
            "histogram_quantile(0.99, sum by (hub, le) (rate(redurable_redis_command_duration_seconds_bucket[5m])))"
            " > 0.25",
            "10m",
            "warning",
            "The Redis of hub {{ $labels.hub }} answers slowly",
            "One command in a hundred takes longer than {{ $value | humanizeDuration }}.",
            "redurable-redis",
        ),
    ),
)
