"""Keys, roles, what is served without keys, limits, and what is written about it."""

from __future__ import annotations

import asyncio
import base64
import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import pytest

from redurable import Client, Worker
from redurable.errors import CallerError
from redurable.http import HideCodes, ManagementApi, Role, read_keys
from redurable.http.guard import is_local_host
from redurable.http.keys import find_key, keys_of
from redurable.http.payloads import WEBHOOKS
from redurable.http.serving import check_exposure
from redurable.settings import HttpSettings
from tests.http.apps import app
from tests.http.conftest import Api
from tests.http.serving import serving, speaking

READ, OPERATE, ADMIN = "reader-0123456789", "operator-0123456789", "admin-0123456789"
KEYS = read_keys(f"# the keys of the tests\nlook:read:{READ}\ndo:operate:{OPERATE}, all:admin:{ADMIN}\n")

# method, path below the API, the least role; None: everybody.
RIGHTS: list[tuple[str, str, Role | None]] = [
    ("GET", f"{WEBHOOKS}/instances", Role.READ),
    ("GET", f"{WEBHOOKS}/instances/one", Role.READ),
    ("GET", f"{WEBHOOKS}/entities", Role.READ),
    ("GET", f"{WEBHOOKS}/nothing", Role.READ),
    ("POST", f"{WEBHOOKS}/orchestrators/Echo", Role.OPERATE),
    ("POST", "/durabletask/orchestrators/Echo", Role.OPERATE),
    ("POST", f"{WEBHOOKS}/instances/one/terminate", Role.OPERATE),
    ("POST", f"{WEBHOOKS}/instances/one/suspend", Role.OPERATE),
    ("POST", f"{WEBHOOKS}/instances/one/resume", Role.OPERATE),
    ("POST", f"{WEBHOOKS}/instances/one/rewind", Role.OPERATE),
    ("POST", f"{WEBHOOKS}/instances/one/restart", Role.OPERATE),
    ("POST", f"{WEBHOOKS}/instances/one/raiseEvent/Go", Role.OPERATE),
    ("POST", f"{WEBHOOKS}/entities/Counter/one", Role.OPERATE),
    ("DELETE", f"{WEBHOOKS}/instances/one", Role.ADMIN),
    ("DELETE", f"{WEBHOOKS}/instances", Role.ADMIN),
    ("POST", f"{WEBHOOKS}/makeprimary", Role.ADMIN),
    ("GET", "/scaler", Role.READ),
    ("GET", "/metrics", Role.READ),
    ("GET", "/livez", None),
    ("GET", "/readyz", None),
    ("GET", "/openapi.json", None),
]


@asynccontextmanager
async def keyed(client: Client, **options: Any) -> AsyncGenerator[Api]:
    api = ManagementApi(client, keys=KEYS, **options)
    async with serving(api) as url, speaking(base_url=url) as http:
        yield Api(url, http, client)


async def asked(client: Client, method: str, path: str, **options: Any) -> httpx2.Response:
    """A request without a network; `insecure`, `settings` and `peer` say to what API and from where."""
    peer = options.pop("peer", "127.0.0.1")
    chosen: dict[str, Any] = {"keys": ()}
    chosen |= {name: options.pop(name) for name in ("insecure", "settings", "keys") if name in options}
    transport = httpx2.ASGITransport(ManagementApi(client, **chosen), client=(peer, 1))
    async with speaking(transport=transport, base_url=options.pop("base", "http://127.0.0.1:8080")) as http:
        return await http.request(method, path, **options)


@pytest.mark.parametrize(("method", "path", "least"), RIGHTS, ids=[f"{m} {p}" for m, p, _ in RIGHTS])
async def test_a_route_needs_its_role(client: Client, method: str, path: str, least: Role | None) -> None:
    secrets = {Role.READ: READ, Role.OPERATE: OPERATE, Role.ADMIN: ADMIN}
    bare = await asked(client, method, path, keys=KEYS)
    assert bare.status_code == (200 if least is None else 401)
    for role, secret in secrets.items():
        said = await asked(client, method, path, keys=KEYS, headers={"x-functions-key": secret})
        assert (said.status_code == 403) is (least is not None and role < least), role
        assert said.status_code != 401


async def test_the_ways_to_present_a_key(client: Client) -> None:
    basic = base64.b64encode(f"me:{READ}".encode()).decode()
    path = f"{WEBHOOKS}/instances"
    for headers in (
        {"x-functions-key": READ},
        {"authorization": f"Bearer {READ}"},
        {"authorization": f"bearer {READ}"},
        {"authorization": f"Basic {basic}"},
    ):
        assert (await asked(client, "GET", path, keys=KEYS, headers=headers)).status_code == 200
    assert (await asked(client, "GET", f"{path}?code={READ}", keys=KEYS)).status_code == 200
    assert (await asked(client, "GET", f"{path}?Code={READ}", keys=KEYS)).status_code == 200
    for headers in (
        {"x-functions-key": f"{READ}x"},
        {"x-functions-key": READ[:-1]},
        {"authorization": "Basic !!!"},
        {"authorization": f"Digest {READ}"},
        {"authorization": "Bearer"},
    ):
        said = await asked(client, "GET", path, keys=KEYS, headers=headers)
        assert (said.status_code, said.content, said.headers["www-authenticate"]) == (401, b"", "Bearer")


async def test_urls_carry_the_code_of_the_caller_and_no_other(client: Client) -> None:
    path = f"{WEBHOOKS}/orchestrators/Approval"
    said = await asked(client, "POST", f"{path}/one?code={OPERATE}", keys=KEYS)
    assert said.status_code == 202
    assert all(url.endswith(f"&code={OPERATE}") for name, url in said.json().items() if name != "id")
    assert said.headers["location"].endswith(f"&code={OPERATE}")
    said = await asked(client, "POST", f"{path}/two", keys=KEYS, headers={"x-functions-key": OPERATE})
    assert OPERATE not in said.text
    assert "code=" not in said.text
    status = await asked(client, "GET", f"{WEBHOOKS}/instances/one?code={READ}", keys=KEYS)
    assert status.headers["location"].endswith(f"?code={READ}")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("name", "name:role:secret"),
        ("name:root:0123456789abcdef", "name:role:secret"),
        ("a b:read:0123456789abcdef", "name:role:secret"),
        ("name:read:short", "16 or more"),
        ("name:read:with blanks in it all over", "16 or more"),
        ("a:read:0123456789abcdef,a:read:fedcba9876543210", "same name"),
        ("a:read:0123456789abcdef\nb:admin:0123456789abcdef", "same secret"),
    ],
)
def test_keys_that_cannot_be_used(text: str, reason: str) -> None:
    with pytest.raises(CallerError, match=reason) as raised:
        read_keys(text)
    assert "0123456789" not in str(raised.value)


def test_keys_hold_no_secret() -> None:
    (key,) = read_keys(f"look:read:{READ}")
    assert READ not in repr(key)
    assert READ not in str(vars(key))
    assert find_key((key,), READ) == key
    assert find_key((key,), "\udcff") is None
    assert read_keys("") == ()


def test_keys_come_from_a_file_and_a_variable(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDURABLE_HTTP_KEYS", f"look:read:{READ}")
    file = tmp_path / "keys"
    file.write_text(f"# comment\n\nall:admin:{ADMIN}\n")
    settings = HttpSettings(http_keys_file=str(file))
    assert [(key.name, key.role) for key in keys_of(settings)] == [("look", Role.READ), ("all", Role.ADMIN)]
    assert READ not in repr(settings)
    with pytest.raises(CallerError, match="cannot be read: No such file"):
        keys_of(HttpSettings(http_keys_file=str(tmp_path / "none")))
    file.write_text("# nothing\n")
    monkeypatch.delenv("REDURABLE_HTTP_KEYS")
    with pytest.raises(CallerError, match="has no key"):
        keys_of(settings.model_copy(update={"http_keys": HttpSettings().http_keys}))


def test_without_keys_it_binds_to_this_machine_alone() -> None:
    for host in ("0.0.0.0", "::", "10.1.2.3", "example.com"):
        with pytest.raises(CallerError, match=f"no keys, so it is not served on {host}"):
            check_exposure(HttpSettings(http_host=host), (), insecure=False)
        check_exposure(HttpSettings(http_host=host), (), insecure=True)
        check_exposure(HttpSettings(http_host=host), KEYS, insecure=False)
    for host in ("127.0.0.1", "::1", "localhost", "127.1.2.3"):
        check_exposure(HttpSettings(http_host=host), (), insecure=False)


@pytest.mark.parametrize(
    ("host", "local"),
    [
        *(
            ("localhost", True),
            ("localhost:8080", True),
            ("127.0.0.1:1", True),
            ("[::1]:8080", True),
            ("LOCALHOST", True),
        ),
        *(("app.localhost", True), ("127.0.0.1.evil.com", False), ("evil.com", False), ("localhost.evil.com", False)),
        *(("", False), ("10.0.0.1", False), ("0.0.0.0", False), ("[::1", False), ("user@evil.com", False)),
    ],
)
def test_names_of_this_machine(host: str, local: bool) -> None:
    assert is_local_host(host) is local


async def test_without_keys_a_name_of_the_web_is_not_this_machine(client: Client) -> None:
    said = await asked(client, "GET", f"{WEBHOOKS}/instances", base="http://evil.example:8080")
    assert (said.status_code, "localhost" in said.json()["Message"]) == (403, True)
    assert (await asked(client, "GET", f"{WEBHOOKS}/instances", peer="10.0.0.7")).status_code == 403
    assert (await asked(client, "GET", f"{WEBHOOKS}/instances")).status_code == 200
    assert (await asked(client, "GET", "/livez", base="http://10.0.0.1", peer="10.0.0.7")).status_code == 200
    said = await asked(
        client, "GET", f"{WEBHOOKS}/instances", base="http://api.example", peer="10.0.0.7", insecure=True
    )
    assert said.status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"sec-fetch-site": "cross-site"},
        {"origin": "http://localhost:9"},
    ],
)
async def test_without_keys_pages_of_the_web_change_nothing(client: Client, headers: dict[str, str]) -> None:
    for insecure in (False, True):
        said = await asked(client, "POST", f"{WEBHOOKS}/orchestrators/Echo", headers=headers, insecure=insecure)
        assert said.status_code == 403
    own = {"origin": "http://127.0.0.1:8080", "sec-fetch-site": "same-origin"}
    assert (await asked(client, "POST", f"{WEBHOOKS}/orchestrators/Echo", headers=own)).status_code == 202


async def test_browsers_of_other_origins_are_let_in_by_a_list(client: Client) -> None:
    origin = {"origin": "https://ui.example"}
    path = f"{WEBHOOKS}/instances"
    assert "access-control-allow-origin" not in (await asked(client, "GET", path, headers=origin)).headers
    settings = HttpSettings(http_cors_origins="https://ui.example, https://other.example")
    said = await asked(client, "GET", path, headers=origin, settings=settings)
    assert said.headers["access-control-allow-origin"] == "https://ui.example"
    assert "x-ms-continuation-token" in said.headers["access-control-expose-headers"]
    said = await asked(client, "POST", f"{WEBHOOKS}/orchestrators/Echo", headers=origin, settings=settings)
    assert said.status_code == 202
    said = await asked(client, "GET", path, headers={"origin": "https://evil.example"}, settings=settings)
    assert "access-control-allow-origin" not in said.headers
    ask = {**origin, "access-control-request-method": "DELETE", "access-control-request-headers": "x-functions-key"}
    said = await asked(client, "OPTIONS", path, headers=ask, settings=settings, keys=KEYS)
    assert (said.status_code, "DELETE" in said.headers["access-control-allow-methods"]) == (200, True)


async def test_bodies_are_limited_before_they_are_read(client: Client) -> None:
    settings = HttpSettings(http_max_body_bytes=100, http_body_timeout_ms=200)
    async with keyed(client, settings=settings) as api:
        host, port = api.url.removeprefix("http://").split(":")

        async def say(text: bytes) -> bytes:
            reader, writer = await asyncio.open_connection(host, int(port))
            head = f"POST {WEBHOOKS}/orchestrators/Echo/one HTTP/1.1\r\nHost: x\r\nx-functions-key: {OPERATE}\r\n"
            writer.write(head.encode() + text)
            answer = await asyncio.wait_for(reader.readline(), 10)
            writer.close()
            return answer

        # The body never comes: what the length says is enough.
        assert b" 413 " in await say(b"Content-Length: 101\r\n\r\n")
        assert b" 400 " in await say(b"Content-Length: 99999999999999999999999\r\n\r\n")
        assert b" 413 " in await say(b"Transfer-Encoding: chunked\r\n\r\nc8\r\n" + b"1" * 200)
        assert b" 408 " in await say(b"Content-Length: 50\r\n\r\n1")
        assert b" 400 " in await say(b"Content-Length: -1\r\n\r\n")
        assert b" 202 " in await say(b"Content-Length: 100\r\n\r\n" + b"1" * 100)


async def test_a_payload_above_the_limit_of_payloads_is_refused(hub: str) -> None:
    async with Client("memory://", hub=hub, max_payload_bytes=10) as client:
        said = await asked(client, "POST", f"{WEBHOOKS}/orchestrators/Echo", json="x" * 20)
        assert said.status_code == 400
        assert "allows, 10" in said.json()["ExceptionMessage"]


def audit_lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "redurable.audit"]


async def test_who_changed_what(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    key = {"x-functions-key": OPERATE, "x-request-id": "r-1"}
    await asked(client, "POST", f"{WEBHOOKS}/orchestrators/Approval/one", keys=KEYS, headers=key)
    await asked(client, "POST", f"{WEBHOOKS}/instances/one/terminate?reason=no%0Astock%22", keys=KEYS, headers=key)
    await asked(client, "DELETE", f"{WEBHOOKS}/instances/one", keys=KEYS, headers=key)
    await asked(client, "POST", f"{WEBHOOKS}/instances/n%0Aobody%20instance=x/suspend?code={ADMIN}", keys=KEYS)
    await asked(client, "POST", f"{WEBHOOKS}/instances/one/raiseEvent/Go?code=wrong", keys=KEYS)
    await asked(client, "GET", f"{WEBHOOKS}/instances/one", keys=KEYS, headers=key)
    lines = audit_lines(caplog)
    hub = client.hub
    common = f"hub={hub} instance=one"
    assert lines[:3] == [
        f"action=start key=do {common} outcome=done status=202 remote=127.0.0.1 request=r-1",
        f'action=terminate key=do {common} outcome=done status=202 remote=127.0.0.1 request=r-1 note="no\\nstock\\""',
        f"action=purge key=do {common} outcome=refused status=403 remote=127.0.0.1 request=r-1",
    ]
    assert 'instance="n\\nobody instance=x" outcome=not-found status=404' in lines[3]
    assert "action=raise-event key=- " in lines[4]
    assert "outcome=refused status=401" in lines[4]
    assert len(lines) == 5
    text = " ".join(record.getMessage() for record in caplog.records if record.name.startswith("redurable"))
    assert not any(secret in text for secret in (READ, OPERATE, ADMIN, "wrong"))


async def test_a_start_without_an_id_is_written_with_the_one_that_it_got(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    said = await asked(client, "POST", f"{WEBHOOKS}/orchestrators/Echo")
    assert f"instance={said.json()['id']} outcome=done" in audit_lines(caplog)[0]


async def test_a_purge_by_filter_says_what_it_was(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with Worker(app, "memory://", hub=client.hub).running():
        await (await client.start("Echo", instance_id="one")).result()
    await asked(client, "DELETE", f"{WEBHOOKS}/instances?createdTimeFrom=2020-01-01&runtimeStatus=Completed")
    (line,) = audit_lines(caplog)
    assert "action=purge-many" in line
    assert "1 created from 2020-01-01T00:00:00+00:00 to " in line
    assert "status Completed" in line


async def test_requests_have_ids(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    said = await asked(client, "GET", f"{WEBHOOKS}/instances?code=secret", headers={"x-request-id": "abc-1"})
    assert said.headers["x-request-id"] == "abc-1"
    assert "GET /runtime/webhooks/durabletask/instances 200" in caplog.text
    assert "request=abc-1" in caplog.text
    for wrong in ("a b", "x" * 200, "é"):
        said = await asked(client, "GET", "/livez", headers={"x-request-id": wrong.encode()})
        assert len(said.headers["x-request-id"]) == 32
    ours = [record.getMessage() for record in caplog.records if record.name.startswith("redurable")]
    assert "secret" not in " ".join(ours)


def test_a_filter_hides_codes_in_the_log_of_another_server() -> None:
    record = logging.LogRecord("uvicorn.access", 20, "", 1, '%s "GET %s"', ("1.2.3.4", "/x?a=1&code=secret&b=2"), None)
    assert HideCodes().filter(record)
    assert record.getMessage() == '1.2.3.4 "GET /x?a=1&code=***&b=2"'


async def test_a_defect_is_logged_and_not_told(
    client: Client, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object, **__: object) -> None:
        raise RuntimeError("redis://user:password@host")

    monkeypatch.setattr(client, "get_status", broken)
    said = await asked(client, "GET", f"{WEBHOOKS}/instances/one", headers={"x-request-id": "r-9"})
    assert said.status_code == 500
    assert "password" not in said.text
    assert "request r-9 failed: redis://user:password@host" in caplog.text


async def test_websockets_are_closed(client: Client) -> None:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    await ManagementApi(client)({"type": "websocket"}, None, send)  # pyright: ignore[reportArgumentType]
    assert sent[0]["type"] == "websocket.close"


@pytest.mark.parametrize("host", ["[", "a b", "evil\x01", "a/b", "a@b", "x" * 400, "a?b", "a#b"])
async def test_a_host_that_is_none_stands_in_no_url(client: Client, host: str) -> None:
    path = f"{WEBHOOKS}/orchestrators/Approval/one"
    said = await asked(client, "POST", path, headers={"host": host}, insecure=True)
    assert (said.status_code, said.json()) == (400, {"Message": "The Host header is not valid."})


async def test_behind_a_proxy_urls_are_those_of_the_callers(client: Client) -> None:
    settings = HttpSettings(http_public_url="https://api.example/durable/")
    said = await asked(client, "POST", f"{WEBHOOKS}/orchestrators/Approval/one", settings=settings)
    assert said.headers["location"].startswith(f"https://api.example/durable{WEBHOOKS}/instances/one?")
    said = await asked(client, "GET", f"{WEBHOOKS}/instances/one?a=1", settings=settings)
    assert said.headers["location"] == f"https://api.example/durable{WEBHOOKS}/instances/one?a=1"


def test_one_client_for_each_hub() -> None:
    with pytest.raises(CallerError, match="one client for each hub"):
        ManagementApi([Client("memory://", hub="a"), Client("memory://", hub="a")])
    with pytest.raises(CallerError, match="one client for each hub"):
        ManagementApi([])
