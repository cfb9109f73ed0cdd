"""The application code of a worker: the orchestrators and activities of all its apps, found by name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

from redurable.authoring.app import App
from redurable.authoring.definitions import ActivityDefinition
from redurable.core.definition import Definition
from redurable.errors import RegistrationError
from redurable.store.membership import Skills
from redurable.worker.http import HTTP

D = TypeVar("D")

DEFAULT_QUEUE = "default"


class Code:
    """What the apps register, together. Raises `RegistrationError` when two apps claim one name."""

    def __init__(self, apps: Sequence[App]) -> None:
        self._orchestrators = _together((app.name, app.registry.orchestrators) for app in apps)
        self._activities = _together((app.name, app.registry.activities) for app in apps)
        if HTTP.name in self._activities:
            raise RegistrationError(
                f"activity {HTTP.name!r} is redurable's own, for ctx.call_http: choose another name"
            )

    def orchestrator(self, name: str) -> Definition | None:
        """The orchestrator registered by that name."""
        return self._orchestrators.get(name)

    def activity(self, name: str) -> ActivityDefinition | None:
        """The activity registered by that name, or redurable's own."""
        return self._activities.get(name) or (HTTP if name == HTTP.name else None)

    def skills(self, roles: Iterable[str], queues: Iterable[str]) -> Skills:
        """What a worker with this code, these roles and these task queues tells the others."""
        return Skills(
            tuple(sorted(roles)),
            tuple(sorted(self._orchestrators)),
            tuple(sorted(self._activities)),
            tuple(sorted(queues)),
        )

    def queues(self, wanted: Iterable[str] | None) -> dict[str, frozenset[bool]]:
        """The task queues to serve, each with the kinds of functions to expect there: True async, False in a thread.

        By default all that registered activities name, and "default", where HTTP requests lie unless they are sent
        elsewhere: so also a worker without activities of its own serves that one.
        """
        kinds: dict[str, set[bool]] = {}
        for definition in self._activities.values():
            kinds.setdefault(definition.options.task_queue, set()).add(definition.is_async)
        every = frozenset(kind for found in kinds.values() for kind in found) or frozenset({HTTP.is_async})
        names = dict.fromkeys([*kinds, DEFAULT_QUEUE] if wanted is None else wanted)
        return {name: frozenset(kinds.get(name, every)) for name in names}


def _together(registered: Iterable[tuple[str, Mapping[str, D]]]) -> dict[str, D]:
    found: dict[str, D] = {}
    owners: dict[str, str] = {}
    for app, definitions in registered:
        for name, definition in definitions.items():
            if found.setdefault(name, definition) is not definition:
                raise RegistrationError(
                    f"apps {owners[name]!r} and {app!r} both register {name!r}: give one of them another name"
                )
            owners[name] = app
    return found
