"""The functions of an app, found by the name under which messages and tasks ask for them."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TypeVar

from redurable.authoring.definitions import ActivityDefinition, OrchestratorDefinition
from redurable.core.values import ActivityOptions
from redurable.errors import RegistrationError

D = TypeVar("D", ActivityDefinition, OrchestratorDefinition)


class Registry:
    """Orchestrators and activities by name. `default_options` are those of activities that decide nothing else."""

    def __init__(self, default_options: ActivityOptions) -> None:
        self.default_options = default_options
        self._orchestrators: dict[str, OrchestratorDefinition] = {}
        self._activities: dict[str, ActivityDefinition] = {}

    @property
    def orchestrators(self) -> Mapping[str, OrchestratorDefinition]:
        """All orchestrators, in the order of their registration."""
        return MappingProxyType(self._orchestrators)

    @property
    def activities(self) -> Mapping[str, ActivityDefinition]:
        """All activities, in the order of their registration."""
        return MappingProxyType(self._activities)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of everything registered, sorted."""
        return tuple(sorted({*self._orchestrators, *self._activities}))

    def orchestrator(self, name: str) -> OrchestratorDefinition | None:
        """The orchestrator of that name, if there is one."""
        return self._orchestrators.get(name)

    def activity(self, name: str) -> ActivityDefinition | None:
        """The activity of that name, if there is one."""
        return self._activities.get(name)

    def add_orchestrator(self, definition: OrchestratorDefinition) -> None:
        """Register an orchestrator; raises `RegistrationError` for a name that is taken."""
        _add(self._orchestrators, definition)

    def add_activity(self, definition: ActivityDefinition) -> None:
        """Register an activity; raises `RegistrationError` for a name that is taken."""
        _add(self._activities, definition)

    def prepare(self) -> None:
        """Resolve all annotations now. A worker does so before it starts, so that a type without a JSON form is a
        `RegistrationError` there, and not a failure of every call."""
        for definition in (*self._orchestrators.values(), *self._activities.values()):
            definition.signature.prepare()


def _add(registered: dict[str, D], definition: D) -> None:
    other = registered.setdefault(definition.name, definition)
    if other is not definition:
        raise RegistrationError(
            f"{definition.signature.owner} is registered twice, as {_place(other)} and {_place(definition)}: "
            "give one of them another name with name=…"
        )


def _place(definition: ActivityDefinition | OrchestratorDefinition) -> str:
    return f"{definition.function.__module__}.{definition.function.__qualname__}"
