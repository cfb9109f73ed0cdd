"""A story of an orchestrator that is registered with an App."""

from __future__ import annotations

from typing import Any, cast

from redurable.authoring.functions import Orchestrator
from redurable.core.events import ExecutionFailed
from redurable.core.messages import ActivityResult, RaiseEvent, StartExecution
from redurable.core.values import Failure, Parent
from tests.support.story import Story, raw


class AppStory(Story):
    """A story of a registered orchestrator."""

    def __init__(self, orchestrator: Orchestrator[..., Any], *inputs: object, parent: Parent | None = None) -> None:
        super().__init__(None)
        definition = orchestrator.definition
        self.definition = cast("Any", definition)
        call = definition.signature.encode(inputs, {})
        self.start = StartExecution(name=definition.name, execution="x1", call=call, parent=parent)

    def done(self, seq: int, payload: str) -> ActivityResult:
        return ActivityResult(execution=self.execution, seq=seq, result=raw(payload))

    def failure(self) -> Failure:
        end = self.history[-1]
        assert isinstance(end, ExecutionFailed), end
        return end.failure


def event(name: str, data: str = "null") -> RaiseEvent:
    return RaiseEvent(name=name, data=raw(data))
