"""Settings, each with its unit and default; every one is also read from an environment variable `REDURABLE_<NAME>`.

docs/settings.md is made from this file by `make docs`.
"""

from __future__ import annotations

from typing import Annotated, Literal, NamedTuple

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

DEFAULT_PARTITIONS = 16
MAX_PAYLOAD_BYTES = 1024 * 1024
MAX_TURN_BYTES = 64 * MAX_PAYLOAD_BYTES
DAY_MS = 24 * 3600 * 1000
KEEP_MS = 7 * DAY_MS
MOST_KEPT = 1000


class Unit(NamedTuple):
    """What the number of a setting counts; docs/settings.md shows it."""

    name: str


Ms = Annotated[int, Field(gt=0), Unit("milliseconds")]
MsOrNever = Annotated[int, Field(ge=0), Unit("milliseconds")]
Count = Annotated[int, Field(gt=0), Unit("number")]
Bytes = Annotated[int, Field(gt=0), Unit("bytes")]
Port = Annotated[int, Field(ge=0, le=65535), Unit("TCP port")]


class PayloadSettings(BaseSettings):
    """What clients and workers go by when they accept a payload. What has been accepted stays accepted."""

    model_config = SettingsConfigDict(env_prefix="REDURABLE_", extra="forbid", frozen=True)

    max_payload_bytes: Bytes = Field(default=MAX_PAYLOAD_BYTES, description="The largest payload, in bytes of JSON.")


class UnknownSettings(BaseSettings):
    """What becomes of events for instances that do not exist. The hub holds the rule: a worker that is told one of
    these, and whoever creates the hub, writes it there; all others go by it."""

    model_config = SettingsConfigDict(env_prefix="REDURABLE_", extra="forbid", frozen=True)

    unknown_instance: Literal["keep", "drop", "dead-letter"] = Field(
        default="keep", description="Keep such events until the instance starts, drop them, or make them dead letters."
    )
    unknown_instance_ttl_ms: Ms = Field(default=KEEP_MS, description="How long an event is kept.")
    unknown_instance_most: Count = Field(default=MOST_KEPT, description="Events kept for one instance.")

    @property
    def says_unknown(self) -> bool:
        """Whether anybody has said something about it."""
        return not self.model_fields_set.isdisjoint(UnknownSettings.model_fields)


class RetentionSettings(BaseSettings):
    """How long instances that have finished are kept; they go together with their sub-orchestrations. 0: for ever."""

    model_config = SettingsConfigDict(env_prefix="REDURABLE_", extra="forbid", frozen=True)

    retention_completed_ms: MsOrNever = Field(default=7 * DAY_MS, description="How long Completed ones are kept.")
    retention_failed_ms: MsOrNever = Field(default=30 * DAY_MS, description="How long Failed ones are kept.")
    retention_canceled_ms: MsOrNever = Field(default=30 * DAY_MS, description="How long Canceled ones are kept.")
    retention_terminated_ms: MsOrNever = Field(default=30 * DAY_MS, description="How long Terminated ones are kept.")
    retention_every_ms: Ms = Field(default=5_000, description="How often a worker looks for such instances.")
    retention_batch: Count = Field(default=200, description="The most instances that are deleted in one go.")
    archive_dir: str = Field(
        default="", description="Directory in which their histories are kept before they go; empty: they are not."
    )


class WorkerSettings(PayloadSettings, UnknownSettings, RetentionSettings):
    """How a worker behaves. Times in milliseconds unless the name says otherwise."""

    max_turn_bytes: Bytes = Field(default=MAX_TURN_BYTES, description="The payloads of one step together, in bytes.")
    max_history_events: Count = Field(default=50_000, description="The most events of an execution; then it fails.")
    max_history_bytes: Bytes = Field(
        default=50 * 1024 * 1024, description="The most bytes of an execution's history, about; then it fails."
    )
    instance_lease_ms: Ms = Field(default=5_000, description="A ready entry is taken over after such a silence.")
    task_lease_ms: Ms = Field(default=10_000, description="A task is taken over after such a silence.")
    renew_every_ms: Ms = Field(default=1_500, description="How often leases are renewed: well below the leases.")
    reclaim_every_ms: Ms = Field(default=1_000, description="How often leases that ran out are looked for.")
    lanes: Count = Field(default=3, description="Turn batches in flight at once.")
    batch: Count = Field(default=100, description="Instances in one checkout and commit.")
    poll_block_ms: Ms = Field(default=2_000, description="The longest blocking read.")
    concurrency: Count = Field(default=100, description="Async activities running at once.")
    thread_concurrency: Count = Field(default=16, description="Sync activities running at once, each in a thread.")
    cancel_grace_ms: Ms = Field(
        default=5_000, description="How long an async activity that was cancelled may clean up undisturbed."
    )
    cache_instances: Count = Field(default=50_000, description="Live replays kept in memory.")
    cache_bytes: Bytes = Field(default=512 * 1024 * 1024, description="Bytes of live replays kept in memory.")
    heartbeat_every_ms: Ms = Field(default=1_000, description="How often a worker says that it lives.")
    worker_ttl_ms: Ms = Field(default=5_000, description="A worker that is silent for so long has left.")
    steal_after_ms: Ms = Field(default=500, description="Ready entries of others' partitions are taken then.")
    timer_horizon_ms: Ms = Field(default=2_000, description="Timers due within this time are held in memory.")
    sweep_every_ms: Ms = Field(default=950, description="How often unannounced mail is looked for.")
    sweep_chunk: Count = Field(default=10_000, description="Instances checked in one call.")
    reap_after_ms: Ms = Field(default=60_000, description="Consumers that are silent and hold nothing go.")
    drain_timeout_ms: Ms = Field(default=20_000, description="How long a stopping worker finishes what it runs.")
    retry_min_ms: Ms = Field(default=50, description="First wait after the store failed; doubles up to retry_max_ms.")
    retry_max_ms: Ms = Field(default=2_000, description="Longest wait after the store failed.")
    kept_executions: Count = Field(default=1_000, description="Past executions kept per instance, beside the first.")
    max_deliveries: Count = Field(
        default=5, description="An instance whose turn has silenced so many workers is quarantined as poison."
    )
    park_min_ms: Ms = Field(default=1_000, description="First wait of a parked instance; doubles.")
    park_max_ms: Ms = Field(default=60_000, description="Longest wait of a parked instance.")
    survey_every_ms: Ms = Field(
        default=5_000, description="How often one worker of the hub looks at the whole of it, for the metrics."
    )
    metrics_port: Port = Field(default=9464, description="Port of the metrics and the probes; 0: none.")


class MetricsSettings(BaseSettings):
    """Where `redurable worker` serves its metrics and its health; `metrics_port` is a setting of the worker."""

    model_config = SettingsConfigDict(env_prefix="REDURABLE_", frozen=True)

    metrics_host: str = Field(default="0.0.0.0", description="Address of the interface that the metrics are served on.")
    live_within_ms: Ms = Field(
        default=30_000, description="A worker whose event loop or turns have stood still for so long is not alive."
    )
    ready_within_ms: Ms = Field(
        default=10_000, description="A worker that has not heard of its store for so long is not ready."
    )


class TelemetrySettings(BaseSettings):
    """What `redurable worker` tells of itself beside its metrics; `redurable serve` goes by those of logs."""

    model_config = SettingsConfigDict(env_prefix="REDURABLE_", frozen=True)

    log_format: Literal["text", "json"] = Field(default="text", description="How log lines look; json: an object each.")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"] = Field(
        default="INFO", description="The least important log lines that are written."
    )
    tracing: Annotated[bool, Unit("yes or no")] = Field(
        default=False, description="Make OpenTelemetry spans; the `OTEL_…` variables say how."
    )


class HttpSettings(BaseSettings):
    """How the HTTP management API behaves, served by `redurable serve` or mounted. The keys are secrets: take the file,
    or a variable that the platform fills from its store of secrets."""

    model_config = SettingsConfigDict(env_prefix="REDURABLE_", extra="forbid", frozen=True)

    http_host: str = Field(default="127.0.0.1", description="Address of the interface that the API is served on.")
    http_port: Port = Field(default=8080, description="Port of the API.")
    http_keys: SecretStr = Field(
        default=SecretStr(""),
        description="API keys, `name:role:secret` with commas between them; roles: read, operate, admin.",
    )
    http_keys_file: str = Field(default="", description="A file with API keys, one in a line.")
    http_public_url: str = Field(
        default="", description="Where callers reach the API, for the URLs in its answers; else what the request says."
    )
    http_cors_origins: str = Field(
        default="", description="Web origins that may call the API from a browser, with commas between them; `*`: all."
    )
    http_max_body_bytes: Bytes = Field(default=MAX_PAYLOAD_BYTES, description="The largest body of a request.")
    http_body_timeout_ms: Ms = Field(default=30_000, description="How long a body may take to come.")
    http_max_wait_ms: Ms = Field(default=230_000, description="The longest wait for a completion.")
    http_max_requests: Count = Field(
        default=1_000, description="Requests under way at once; more are answered with 503."
    )
    http_start_unknown: Annotated[bool, Unit("yes or no")] = Field(
        default=False, description="Start orchestrators that no live worker knows, instead of refusing them with 400."
    )


class RedisSettings(BaseSettings):
    """How to log in to a server whose address does not say it. What the address says counts more."""

    model_config = SettingsConfigDict(env_prefix="REDURABLE_", frozen=True)

    redis_username: str = Field(default="", description="The user of the server's ACL; empty: its default user.")
    redis_password: SecretStr = Field(default=SecretStr(""), description="The user's password, as it is.")
    redis_ca_file: str = Field(
        default="", description="With `rediss://`: the file of the certificate authority; empty: the system's."
    )
