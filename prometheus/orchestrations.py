"""Alerts about instances: quarantine, failures, histories, payloads."""

from __future__ import annotations

from prometheus.model import Alert, Group
from prometheus.recordings import FAILED_RATIO

CAP = "redurable_history_cap_ratio"
QUARANTINED = (
    "(sum by (hub, type) (increase(redurable_quarantines_total[6h]))\n"
    "  - sum by (hub, type) (increase(redurable_quarantines_ended_total[6h])))"
)
PARTED = "sum by (hub, type) (increase(redurable_nondeterminism_errors_total[6h])) > 0"

ORCHESTRATIONS = Group(
    "redurable.orchestrations",
    (
        Alert(
            "RedurableQuarantine",
            f"{QUARANTINED} > 0.5\n  unless on (hub, type) {PARTED}",
            "15m",
            "critical",
            "Instances of {{ $labels.type }} in hub {{ $labels.hub }} are quarantined",
            "{{ $value | humanize }} more instances of {{ $labels.type }} were quarantined than went on, in six hours. "
            "They keep their state and wait for a repair.",
            "redurable-orchestrators",
        ),
        Alert(
            "RedurableNondeterminism",
            f"{QUARANTINED} > 0.5\n  and on (hub, type) {PARTED}",
            "15m",
            "critical",
            "The code of {{ $labels.type }} in hub {{ $labels.hub }} disagrees with histories",
            "{{ $value | humanize }} more instances were quarantined than went on, in six hours: their code came to "
            "other decisions than their histories. Mostly a deploy that running instances do not survive.",
            "redurable-orchestrators",
        ),
        Alert(
            "RedurableFailureRatioHigh",
            f"{FAILED_RATIO} > 0.1\n"
            "  and on (hub, type) sum by (hub, type) (increase(redurable_instances_finished_total[30m])) >= 20",
            "15m",
            "warning",
            "Executions of {{ $labels.type }} in hub {{ $labels.hub }} fail",
            "{{ $value | humanizePercentage }} of the executions that ended within half an hour have failed.",
            "redurable-orchestrators",
        ),
        Alert(
            "RedurableHistoryNearCap",
            f"(sum by (hub, type) (increase({CAP}_count[1h]))\n"
            f'  - sum by (hub, type) (increase({CAP}_bucket{{le="0.8"}}[1h]))) > 0.01',
            "5m",
            "warning",
            "Histories of {{ $labels.type }} in hub {{ $labels.hub }} are near their cap",
            "At least one execution has more than 80 % of the events, or bytes, that it may have. At the cap it fails.",
            "redurable-orchestrators",
        ),
        Alert(
            "RedurablePayloadRejected",
            "sum by (hub, reason) (increase(redurable_payload_rejected_total[15m])) > 0",
            "15m",
            "warning",
            "Payloads in hub {{ $labels.hub }} are refused: {{ $labels.reason }}",
            "{{ $value | humanize }} payloads were refused in 15 minutes; the calls that made them failed.",
            "redurable-orchestrators",
        ),
    ),
)
