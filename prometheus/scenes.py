"""What happens to healthy hubs. No alert may fire in any of them."""

from __future__ import annotations

from prometheus.case import Scene, histogram, of


def _worker(name: str, values: str, polls: str, turns: str) -> dict[str, str]:
    """What a worker says, while it lives."""
    at = {"job": "workers", "instance": name}
    return (
        {f'up{{job="workers", instance="{name}"}}': values}
        | of("build_info", values, **at)
        | of("worker_last_poll_timestamp_seconds", polls, **at)
        | of("store_last_answer_timestamp_seconds", polls, **at)
        | of("worker_draining", values.replace("1", "0"), **at)
        | of("turns_total", turns, **at, type="order", result="ok")
        | of("turns_total", values.replace("1", "0"), **at, type="order", result="fenced")
        | histogram("schedule_to_start_seconds", {"1.0": turns, "60.0": turns, "+Inf": turns}, **at, queue="default")
        | histogram("redis_command_duration_seconds", {"0.1": turns, "1.0": turns, "+Inf": turns}, **at, op="commit")
    )


def _hub(lag: str, consumers: str, due: str) -> dict[str, str]:
    """What the elected worker says of the hub."""
    return (
        of("stream_lag_messages", lag, queue="default")
        | of("stream_length_messages", lag, queue="default")
        | of("stream_pending_messages", due, queue="default")
        | of("stream_consumers", consumers, queue="default")
        | of("stream_oldest_waiting_age_seconds", due, queue="default")
        | of("timers_due", due)
    )


SCENES = (
    Scene(
        "an idle hub",
        _worker("w1", "1x90", "0+60x90", "0x90") | _hub("0x90", "1x90", "0x90"),
        ("10m", "30m", "60m", "90m"),
    ),
    Scene(
        "a hub under load",
        _worker("w1", "1x90", "0+60x90", "0+600x90") | _hub("40x90", "1x90", "0x90"),
        ("10m", "30m", "60m", "90m"),
    ),
    Scene(
        "a rolling deploy: the first worker drains for a minute, and three minutes later the second is there",
        _worker("w1", "1x40 stale", "0+60x39 2340 stale", "0+600x40 stale")
        | _worker("w2", "_x43 1x50", "_x43 2580+60x50", "_x43 0+600x50")
        | _hub("5x40 300x3 5x50", "1x40 0x3 1x50", "0x95"),
        ("40m", "42m", "44m", "50m", "60m", "90m"),
    ),
    Scene(
        "scaled to zero when all is done, and up again",
        _worker("w1", "1x30 stale", "0+60x30 stale", "0+600x30 stale")
        | _worker("w2", "_x70 1x20", "_x70 4200+60x20", "_x70 0+600x20")
        | _hub("5x20 0x10 stale _x39 90x1 0x18", "1x30 stale _x39 1x20", "0x30 stale _x39 0x20"),
        ("25m", "35m", "45m", "60m", "69m", "75m", "90m"),
    ),
)
