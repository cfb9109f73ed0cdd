"""Which handler a request is for. Paths match as Azure matches them: fixed parts in any case, a slash at the end
or not.

A part of a path is decoded after the path was cut, so `%2F` belongs to an id. What no route takes, whatever the
method, is answered with 404, as Azure does.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import NamedTuple
from urllib.parse import unquote

from starlette.requests import Request

from redurable.http.answers import Answer
from redurable.http.call import Call
from redurable.http.keys import Role
from redurable.http.urls import below_root


class Route(NamedTuple):
    """A method, a template such as `/instances/{instanceId}`, and who may go there (None: everybody). `action` names
    what changes something, for the audit; empty: nothing does. `rpc`: where SDKs of Azure call."""

    method: str
    template: str
    role: Role | None
    run: Callable[[Call], Awaitable[Answer]]
    action: str = ""
    rpc: bool = False

    @property
    def parts(self) -> tuple[str, ...]:
        """The template in parts."""
        return tuple(part for part in self.template.split("/") if part)


class Match(NamedTuple):
    """A route, and the parts of the path that it names."""

    route: Route
    params: Mapping[str, str]


class Router:
    """Finds routes by the number of their parts, and then one by one: there are few."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self._routes: dict[tuple[str, int], list[Route]] = {}
        for route in routes:
            self._routes.setdefault((route.method, len(route.parts)), []).append(route)

    def find(self, method: str, path: list[str]) -> Match | None:
        """The route of a path in parts."""
        for route in self._routes.get((method, len(path)), ()):
            params = _params(route.parts, path)
            if params is not None:
                return Match(route, params)
        return None


def path_of(request: Request) -> list[str]:
    """The parts of the path below the place where the API is mounted; none of one that is no UTF-8: read otherwise, it
    would name something else than was meant."""
    try:
        return [unquote(part, errors="strict") for part in below_root(request.scope).split("/") if part]
    except UnicodeDecodeError:
        return []


def _params(template: tuple[str, ...], path: list[str]) -> dict[str, str] | None:
    params: dict[str, str] = {}
    for expected, part in zip(template, path, strict=True):
        if expected.startswith("{"):
            params[expected[1:-1]] = part
        elif expected.lower() != part.lower():
            return None
    return params
