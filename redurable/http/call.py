"""One request, read: what a handler is given."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic_core import from_json
from starlette.requests import Request

from redurable.client import Client
from redurable.core.ids import check_instance_id
from redurable.errors import CallerError, InstanceNotFound, InvalidName
from redurable.http.answers import Answer, Refused, azure_error
from redurable.http.guard import Caller
from redurable.http.limits import read_body
from redurable.http.payloads import CONNECTION, management_urls
from redurable.http.query import Query
from redurable.http.urls import below_root, origin_of, root_of
from redurable.settings import HttpSettings


@dataclass(frozen=True)
class Call:
    """A request that was let in. `params` are the parts of its path that the route names."""

    request: Request
    params: Mapping[str, str]
    query: Query
    caller: Caller
    clients: Mapping[str, Client]
    settings: HttpSettings
    rpc: bool = False

    @property
    def client(self) -> Client:
        """The client of the hub that is meant: `taskHub`, else the first. Raises `CallerError` for one that is not
        served."""
        asked = self.query.text("taskHub")
        if not asked:
            return next(iter(self.clients.values()))
        found = self.clients.get(asked.lower())  # Azure's names have capital letters, and mean nothing by them.
        if found is None:
            raise CallerError(f"hub {asked!r:.80} is not served here: it is one of {', '.join(self.clients)}")
        return found

    @property
    def instance(self) -> str:
        """The instance of the path. Raises `InstanceNotFound` for an id that none can have."""
        text = self.params.get("instanceId", "")
        try:
            return check_instance_id(text)
        except InvalidName as error:
            raise InstanceNotFound(str(error)) from None

    @property
    def reason(self) -> str:
        """Why, in the words of the caller."""
        return self.query.text("reason")

    async def body(self) -> bytes:
        """The body, which is not larger than the settings say."""
        return await read_body(self.request, self.settings.http_max_body_bytes, self.settings.http_body_timeout_ms)

    async def json(self, default: Any = None) -> Any:
        """The body's value; `default`: what an empty one means. Raises `Refused` with Azure's words."""
        body = await self.body()
        if not body and default is not None:
            return default
        try:
            return self._unwrapped(from_json(body, allow_inf_nan=False))
        except ValueError as error:
            said = azure_error("Invalid JSON content", str(error), "Newtonsoft.Json.JsonReaderException")
            raise Refused(Answer(status=400, body=said)) from None

    def urls(self, instance: str) -> dict[str, str]:
        """The management URLs of an instance, for this caller."""
        connection = self.query.text("connection") or CONNECTION
        return management_urls(self.base, instance, self.client.hub, connection, self.caller.code)

    @property
    def base(self) -> str:
        """The URL at which this API is, as the caller sees it."""
        if self.settings.http_public_url:
            return self.settings.http_public_url.rstrip("/")
        return f"{origin_of(self.request)}{root_of(self.request.scope)}"

    @property
    def own_url(self) -> str:
        """The URL of this request, as it was sent."""
        query = self.request.scope["query_string"].decode("latin-1")
        return f"{self.base}{below_root(self.request.scope)}{'?' if query else ''}{query}"

    def _unwrapped(self, value: Any) -> Any:
        """Azure's Python SDK sends JSON in a JSON text, and its worker, which is not here, would take that off again.
        It shows by its HTTP library, which no other SDK of Azure's uses."""
        wrapped = self.rpc and isinstance(value, str) and "aiohttp/" in self.request.headers.get("user-agent", "")
        if not wrapped:
            return value
        try:
            return from_json(value, allow_inf_nan=False)
        except ValueError:
            return value
