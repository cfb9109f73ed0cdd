"""Tests of the alerts about Redis, and of the service level objective."""

from __future__ import annotations

from prometheus.case import Case, fires, histogram, of, silent

W1 = {"job": "workers", "instance": "w1"}
W2 = {"job": "workers", "instance": "w2"}
ANSWER = "store_last_answer_timestamp_seconds"


def _errors(kind: str, values: str) -> dict[str, str]:
    return of("redis_errors_total", values, op="commit", error=kind)


def _commands(quick: str, all_of_them: str) -> dict[str, str]:
    counts = {"0.25": quick, "1.0": all_of_them, "+Inf": all_of_them}
    return histogram("redis_command_duration_seconds", counts, op="commit")


def _starts(punctual: str, all_of_them: str) -> dict[str, str]:
    counts = {"1.0": punctual, "+Inf": all_of_them}
    return histogram("schedule_to_start_seconds", counts, queue="default", kind="activity")


REDIS_CASES: tuple[Case, ...] = (
    fires("RedurableRedisErrors", "they do not stop", _errors("timeout", "0+6x60"), error="timeout"),
    silent("RedurableRedisErrors", "a fail-over: two minutes", _errors("unavailable", "0x50 0+60x2 120x7")),
    silent("RedurableRedisErrors", "none", _errors("timeout", "0x60")),
    fires(
        "RedurableRedisDown",
        "no worker is answered",
        of(ANSWER, "0+60x50 3000x10", **W1)
        | of(ANSWER, "0+60x50 3000x10", **W2)
        | _errors("unavailable", "0x50 0+60x10"),
    ),
    silent(
        "RedurableRedisDown",
        "one worker is cut off, the other is not",
        of(ANSWER, "0+60x50 3000x10", **W1) | of(ANSWER, "0+60x60", **W2) | _errors("unavailable", "0x50 0+60x10"),
    ),
    silent(
        "RedurableRedisDown",
        "workers that stand still for another reason",
        of(ANSWER, "0+60x50 3000x10", **W1) | _errors("unavailable", "0x60"),
    ),
    fires("RedurableRedisFull", "it refuses writes", _errors("full", "0x50 0+1x10")),
    silent("RedurableRedisFull", "errors of another kind", _errors("timeout", "0+6x60")),
    fires("RedurableStoreDamaged", "a key of a wrong type", _errors("damaged", "0x50 0+1x10")),
    silent("RedurableStoreDamaged", "errors of another kind", _errors("timeout", "0+6x60")),
    fires("RedurableRedisSlow", "one command in ten", _commands("0+90x60", "0+100x60")),
    silent("RedurableRedisSlow", "all are quick", _commands("0+100x60", "0+100x60")),
    silent("RedurableRedisSlow", "no commands", _commands("90x60", "100x60")),
)

SLO_CASES: tuple[Case, ...] = (
    fires("RedurableSloFastBurn", "a third of the work is late", _starts("0+20x120", "0+30x120"), at="120m"),
    silent("RedurableSloFastBurn", "one in two hundred is late", _starts("0+199x120", "0+200x120"), at="120m"),
    silent(
        "RedurableSloFastBurn", "it was bad, and is good again", _starts("0+20x100 2020+30x20", "0+30x120"), at="120m"
    ),
    silent("RedurableSloFastBurn", "a hub with hardly any work", _starts("0x120", "0x60 1x60"), at="120m"),
    fires("RedurableSloSlowBurn", "a tenth of the work is late", _starts("0+27x480", "0+30x480"), at="480m"),
    silent("RedurableSloSlowBurn", "one in two hundred is late", _starts("0+199x480", "0+200x480"), at="480m"),
    silent("RedurableSloSlowBurn", "an idle hub", _starts("0x480", "0x480"), at="480m"),
)
