"""Tests of the alerts about instances."""

from __future__ import annotations

from prometheus.case import Case, fires, histogram, of, silent

ORDER = {"type": "order"}


def _quarantines(begun: str, ended: str, parted: str = "0x60") -> dict[str, str]:
    return (
        of("quarantines_total", begun, **ORDER, reason="nondeterminism")
        | of("quarantines_ended_total", ended, **ORDER)
        | of("nondeterminism_errors_total", parted, **ORDER)
    )


def _ends(failed: str, completed: str) -> dict[str, str]:
    return of("instances_finished_total", failed, **ORDER, status="Failed") | of(
        "instances_finished_total", completed, **ORDER, status="Completed"
    )


def _cap(below: str, turns: str) -> dict[str, str]:
    return histogram("history_cap_ratio", {"0.5": below, "0.8": below, "+Inf": turns}, **ORDER)


INSTANCE_CASES: tuple[Case, ...] = (
    fires("RedurableQuarantine", "one instance, and nobody repairs it", _quarantines("0x20 1x40", "0x60"), **ORDER),
    silent("RedurableQuarantine", "all is well", _quarantines("0x60", "0x60")),
    silent("RedurableQuarantine", "somebody repairs it within ten minutes", _quarantines("0x40 5x20", "0x50 5x10")),
    silent("RedurableQuarantine", "the other alert has it", _quarantines("0x20 1x40", "0x60", "0x20 1x40")),
    fires("RedurableNondeterminism", "a bad deploy", _quarantines("0x20 7x40", "0x60", "0x20 7x40"), **ORDER),
    silent("RedurableNondeterminism", "quarantined for another reason", _quarantines("0x20 1x40", "0x60", "0x60")),
    silent(
        "RedurableNondeterminism",
        "a bad deploy that is rolled back within ten minutes",
        _quarantines("0x40 7x20", "0x50 7x10", "0x40 7x20"),
    ),
    fires("RedurableFailureRatioHigh", "one in five", _ends("0+1x60", "0+4x60"), **ORDER),
    silent("RedurableFailureRatioHigh", "one in fifty", _ends("0+1x60", "0+49x60")),
    silent("RedurableFailureRatioHigh", "one failed on a quiet day", _ends("0x50 1x10", "0x60")),
    fires("RedurableHistoryNearCap", "some turns find more than four fifths", _cap("0+9x60", "0+10x60"), **ORDER),
    silent("RedurableHistoryNearCap", "all histories are short", _cap("0+10x60", "0+10x60")),
    silent("RedurableHistoryNearCap", "an idle hub", _cap("7x60", "9x60")),
    fires(
        "RedurablePayloadRejected",
        "again and again",
        of("payload_rejected_total", "0+1x60", reason="invalid_payload"),
        reason="invalid_payload",
    ),
    silent(
        "RedurablePayloadRejected",
        "once, an hour ago",
        of("payload_rejected_total", "0x10 1x50", reason="invalid_payload"),
    ),
)
