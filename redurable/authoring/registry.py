"""The functions of an app, found by the name under which messages and tasks ask for them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import TypeVar
from weakref import WeakSet

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
        self._followers: WeakSet[Registry] = WeakSet()

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
        if _add(self._orchestrators, definition):
            for follower in self._followers:
                follower.add_orchestrator(definition)

    def add_activity(self, definition: ActivityDefinition) -> None:
        """Register an activity; raises `RegistrationError` for a name that is taken."""
        if _add(self._activities, definition):
            for follower in self._followers:
                follower.add_activity(definition)

    def include(self, other: Registry) -> None:
        """Register all that `other` has, and will have. Raises `RegistrationError` for a name that is taken."""
        for orchestrator in other.orchestrators.values():
            self.add_orchestrator(orchestrator)
        for activity in other.activities.values():
            self.add_activity(activity)
        other._followers.add(self)

    def places_in(self, package: str) -> Iterator[str]:
        """Where functions are defined that come from that package."""
        for definition in (*self._orchestrators.values(), *self._activities.values()):
            place = _place(definition)
            if place.startswith(f"{package}."):
                yield place

    def prepare(self) -> None:
        """Resolve all annotations now. A worker does so before it starts, so that a type without a JSON form is a
        `RegistrationError` there, and not a failure of every call."""
        for definition in (*self._orchestrators.values(), *self._activities.values()):
            definition.signature.prepare()


def _add(registered: dict[str, D], definition: D) -> bool:
    """Whether it was not there yet."""
    other = registered.get(definition.name)
    if other is None:
        registered[definition.name] = definition
    elif other is not definition:
        raise RegistrationError(
            f"{definition.signature.owner} is registered twice, as {_place(other)} and {_place(definition)}: "
            "give one of them another name with name=…"
        )
    return other is None


def _place(definition: ActivityDefinition | OrchestratorDefinition) -> str:
    return f"{definition.function.__module__}.{definition.function.__qualname__}"
