"""How KEDA and the HorizontalPodAutoscaler decide, as their documents say, for one figure with a target per pod.

KEDA asks for the figure, decides between no pod and one, and ends the last pod after the cooldown. From one pod on the
HorizontalPodAutoscaler decides: figure / target, rounded up, with its tolerance; up by at most the double or 4 pods a
period; down to the highest that was recommended within the stabilization window. Times are seconds of whatever clock.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

TOLERANCE = 0.1
MOST_ADDED = 4


@dataclass(frozen=True)
class Rule:
    """`target`: figure per pod. `least` and `most` pods. `period`: how long growth is bound (the HPA's 15 s)."""

    target: float
    least: int
    most: int
    polling: float
    stabilization: float
    cooldown: float
    period: float
    activation: float = 0.0


@dataclass
class Autoscaler:
    """One pool's autoscaler: what it remembers between two decisions."""

    rule: Rule
    _active_at: float = -math.inf
    _recommended: list[tuple[float, int]] = field(default_factory=list[tuple[float, int]])
    _added: list[tuple[float, int]] = field(default_factory=list[tuple[float, int]])

    def wanted(self, now: float, pods: int, figure: float) -> int:
        """How many pods there should be, when there are `pods` and this is the figure."""
        rule, active = self.rule, figure > self.rule.activation
        if active:
            self._active_at = now
        if pods == 0:
            return max(rule.least, int(active))
        if not active and rule.least == 0 and now - self._active_at >= rule.cooldown:
            self._recommended.clear()
            return 0
        wanted = self._bounded(now, pods, self._stabilized(now, pods, self._proposed(pods, figure)))
        if wanted > pods:
            self._added.append((now, wanted - pods))
        return wanted

    def _proposed(self, pods: int, figure: float) -> int:
        rule = self.rule
        if abs(figure / (rule.target * pods) - 1) <= TOLERANCE:
            return pods
        return min(rule.most, max(1, rule.least, math.ceil(figure / rule.target)))

    def _stabilized(self, now: float, pods: int, proposed: int) -> int:
        since = now - self.rule.stabilization
        self._recommended = [(at, n) for at, n in self._recommended if at > since] + [(now, proposed)]
        return proposed if proposed >= pods else min(pods, max(n for _, n in self._recommended))

    def _bounded(self, now: float, pods: int, proposed: int) -> int:
        self._added = [(at, n) for at, n in self._added if at > now - self.rule.period]
        at_first = pods - sum(n for _, n in self._added)
        return min(proposed, max(pods, 2 * at_first, at_first + MOST_ADDED))
