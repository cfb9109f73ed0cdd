"""Tests of the alerts about queues, dead letters and timers."""

from __future__ import annotations

from prometheus.case import Case, fires, histogram, of, silent

DEFAULT = {"queue": "default"}


def _waits(quick: str, all_of_them: str) -> dict[str, str]:
    counts = {"1.0": quick, "5.0": quick, "60.0": all_of_them, "+Inf": all_of_them}
    return histogram("schedule_to_start_seconds", counts, **DEFAULT, kind="activity")


def _late(punctual: str, all_of_them: str) -> dict[str, str]:
    return histogram("timer_lateness_seconds", {"5.0": punctual, "60.0": all_of_them, "+Inf": all_of_them})


def _lag(values: str) -> dict[str, str]:
    return of("stream_lag_messages", values, **DEFAULT)


QUEUE_CASES: tuple[Case, ...] = (
    fires("RedurableScheduleToStartHigh", "one in ten waits long", _waits("0+9x60", "0+10x60"), **DEFAULT),
    silent("RedurableScheduleToStartHigh", "nobody waits long", _waits("0+10x60", "0+10x60")),
    silent("RedurableScheduleToStartHigh", "an idle queue", _waits("5x60", "10x60")),
    silent(
        "RedurableScheduleToStartHigh",
        "a rolling deploy: three minutes",
        _waits("0+10x50 503+1x2 514+10x6", "0+10x60"),
        at="54m",
    ),
    fires("RedurableBacklogGrowing", "more and more", _lag("0+20x60"), **DEFAULT),
    silent("RedurableBacklogGrowing", "a large backlog that shrinks", _lag("6000-20x60")),
    silent("RedurableBacklogGrowing", "a peak that is worked off", _lag("0x40 0+100x5 500-100x5 0x9")),
    silent("RedurableBacklogGrowing", "an idle queue", _lag("0x60")),
    fires(
        "RedurableBacklogStuck",
        "the oldest grows older",
        of("stream_oldest_waiting_age_seconds", "0+60x60", **DEFAULT),
        **DEFAULT,
    ),
    silent("RedurableBacklogStuck", "an idle queue", of("stream_oldest_waiting_age_seconds", "0x60", **DEFAULT)),
    silent(
        "RedurableBacklogStuck", "a long queue that moves", of("stream_oldest_waiting_age_seconds", "40x60", **DEFAULT)
    ),
    silent(
        "RedurableBacklogStuck",
        "an outage of eight minutes, and all is worked off",
        of("stream_oldest_waiting_age_seconds", "0x50 0+60x8 0x1", **DEFAULT),
        at="58m",
    ),
    fires(
        "RedurableOldestPendingStuck",
        "a turn that does not end",
        of("stream_oldest_pending_age_seconds", "0+60x60", queue="_ready"),
        queue="_ready",
    ),
    silent(
        "RedurableOldestPendingStuck",
        "an activity that takes an hour",
        of("stream_oldest_pending_age_seconds", "0+60x60", **DEFAULT),
    ),
    silent(
        "RedurableOldestPendingStuck",
        "turns under load",
        of("stream_oldest_pending_age_seconds", "2x60", queue="_ready"),
    ),
    fires(
        "RedurableDeadLetters",
        "one is enough",
        of("messages_deadlettered_total", "0x55 1x5", reason="malformed"),
        reason="malformed",
    ),
    fires(
        "RedurableDeadLetters",
        "one that lay in a task queue and that no worker could read",
        of("messages_deadlettered_total", "0x60", reason="malformed") | of("deadletter_messages", "3x50 4x10"),
        reason="unread",
    ),
    silent("RedurableDeadLetters", "old ones that nobody looks after", of("deadletter_messages", "9x60")),
    silent("RedurableDeadLetters", "they are worked off", of("deadletter_messages", "9x50 2x10")),
    silent("RedurableDeadLetters", "none", of("messages_deadlettered_total", "0x60", reason="malformed")),
    silent(
        "RedurableDeadLetters", "one, an hour ago", of("messages_deadlettered_total", "0x5 1x55", reason="malformed")
    ),
    fires("RedurableTimersLate", "one in ten is late", _late("0+9x60", "0+10x60")),
    fires("RedurableTimersLate", "due, and none fires", of("timers_due", "3x60") | of("timers_fired_total", "7x60")),
    silent("RedurableTimersLate", "all are punctual", _late("0+10x60", "0+10x60")),
    silent("RedurableTimersLate", "no timers at all", of("timers_due", "0x60") | of("timers_fired_total", "0x60")),
    silent(
        "RedurableTimersLate",
        "scaled up from zero: those that became due meanwhile fire at once",
        _late("_x54 0x5", "_x54 0 400x5"),
        at="58m",
    ),
)
