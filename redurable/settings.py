"""Settings, each with its unit and default; every one is also read from an environment variable `REDURABLE_<NAME>`."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

DEFAULT_PARTITIONS = 16

Ms = Annotated[int, Field(gt=0)]
Count = Annotated[int, Field(gt=0)]


class WorkerSettings(BaseSettings):
    """How a worker behaves. Times in milliseconds unless the name says otherwise."""

    model_config = SettingsConfigDict(env_prefix="REDURABLE_", extra="forbid", frozen=True)

    instance_lease_ms: Ms = Field(5_000, description="A ready entry whose holder is silent for so long is taken over.")
    task_lease_ms: Ms = Field(10_000, description="A task whose holder is silent for so long is taken over.")
    renew_every_ms: Ms = Field(1_500, description="How often leases are renewed; well below the shortest lease.")
    reclaim_every_ms: Ms = Field(1_000, description="How often leases that ran out are looked for.")
    lanes: Count = Field(3, description="Turn batches in flight at once.")
    batch: Count = Field(100, description="Instances in one checkout and commit.")
    poll_block_ms: Ms = Field(2_000, description="The longest blocking read.")
    concurrency: Count = Field(100, description="Async activities running at once.")
    thread_concurrency: Count = Field(16, description="Sync activities running at once, each in a thread.")
    cache_instances: Count = Field(10_000, description="Live replays kept in memory.")
    cache_bytes: Count = Field(256 * 1024 * 1024, description="History bytes behind the live replays kept in memory.")
    heartbeat_every_ms: Ms = Field(1_000, description="How often a worker says that it lives.")
    worker_ttl_ms: Ms = Field(5_000, description="A worker that is silent for so long has left.")
    steal_after_ms: Ms = Field(500, description="Ready entries that others prefer are taken after waiting so long.")
    timer_horizon_ms: Ms = Field(2_000, description="Timers due within this time are held in memory.")
    sweep_every_ms: Ms = Field(1_000, description="How often waiting instances are checked for unannounced mail.")
    sweep_chunk: Count = Field(1_000, description="Instances checked in one call.")
    reap_after_ms: Ms = Field(60_000, description="Consumers that hold nothing and are silent for so long are removed.")
    drain_timeout_ms: Ms = Field(20_000, description="How long a stopping worker finishes what it runs.")
    retry_min_ms: Ms = Field(50, description="First wait after the store failed; doubles up to retry_max_ms.")
    retry_max_ms: Ms = Field(2_000, description="Longest wait after the store failed.")
    park_min_ms: Ms = Field(1_000, description="First wait before a parked instance is tried again; doubles.")
    park_max_ms: Ms = Field(60_000, description="Longest wait before a parked instance is tried again.")
    metrics_port: Annotated[int, Field(ge=0, le=65535)] = Field(9464, description="Port of the metrics; 0: none.")
