"""What nobody should send, byte by byte: answered with 4xx or a closed connection, never with 5xx, and the next caller
is served."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest

from redurable.http.payloads import WEBHOOKS
from tests.http.conftest import Api
from tests.http.serving import speaking

SECONDS = 20.0
START = f"{WEBHOOKS}/orchestrators/Echo".encode()
ONE = f"{WEBHOOKS}/instances/one".encode()
MANY = f"{WEBHOOKS}/instances".encode()
HOST = b"Host: localhost\r\n"


def post(body: bytes, *headers: bytes, path: bytes = START, version: bytes = b"1.1") -> bytes:
    lines = b"".join(header + b"\r\n" for header in headers)
    length = b"Content-Length: %d\r\n" % len(body)
    return b"POST %s HTTP/%s\r\n%s%s%s\r\n%s" % (path, version, HOST, length, lines, body)


def get(path: bytes, *headers: bytes) -> bytes:
    return b"GET %s HTTP/1.1\r\n%s%s\r\n" % (path, HOST, b"".join(header + b"\r\n" for header in headers))


BAD_JSON = (b"{", b"\xff\xfe", b'"\xc3\x28"', b"NaN", b"[1,]", b'"\\ud800"', b"nul", b"\x00", b"1 2", b"'x'")
REFUSED = {
    "a header of 5 MB": get(MANY, b"X-Long: " + b"a" * 5_000_000),
    "400,000 headers": get(MANY, *[b"X-%d: a" % number for number in range(400_000)]),
    "a target of 5 MB": get(MANY + b"?top=" + b"1" * 5_000_000),
    "an id of 5,000 characters": get(MANY + b"/" + b"x" * 5_000),
    "an id with a null byte": get(MANY + b"/%00"),
    "an id with line feeds": get(MANY + b"/a%0d%0ab"),
    "an id that is no UTF-8": get(MANY + b"/%ff%fe"),
    "half of a percent encoding": get(MANY + b"/%"),
    "a percent encoding that is none": get(MANY + b"/%zz%u0041"),
    "a null byte in a target": get(MANY + b"/\x00"),
    "bytes above 127 in a target": get(MANY + b"/\xff"),
    "a path upwards": get(MANY + b"/../../../../etc/passwd"),
    "a path upwards, encoded": get(MANY + b"/%2e%2e%2f%2e%2e%2fetc%2fpasswd"),
    "a path upwards, with backslashes": get(b"/..\\..\\etc\\passwd"),
    "a target that is no path": get(b"nothing"),
    "an asterisk": b"OPTIONS * HTTP/1.1\r\n%s\r\n" % HOST,
    "CONNECT": b"CONNECT evil.example:443 HTTP/1.1\r\n%s\r\n" % HOST,
    "no version": b"GET %s\r\n\r\n" % MANY,
    "no HTTP": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 50 + b"\r\n\r\n",
    "no host": b"GET %s HTTP/1.1\r\n\r\n" % MANY,
    "a host of elsewhere": b"GET %s HTTP/1.1\r\nHost: evil.example\r\n\r\n" % MANY,
    "a header without a name": get(MANY, b": x"),
    "a header that is folded": get(MANY, b"X-A: b\r\n\tc", b"Bad Header: x"),
    "a null byte in a header": get(MANY, b"X-A: a\x00b"),
    "two lengths": post(b"1", b"Content-Length: 5"),
    "a length and chunks": post(b"0\r\n\r\n", b"Transfer-Encoding: chunked", path=ONE + b"/nothing"),
    "a length that is negative": b"POST %s HTTP/1.1\r\n%sContent-Length: -5\r\n\r\n" % (START, HOST),
    "a length that is a word": b"POST %s HTTP/1.1\r\n%sContent-Length: many\r\n\r\n" % (START, HOST),
    "a length above the limit": b"POST %s HTTP/1.1\r\n%sContent-Length: 9999999999\r\n\r\n" % (START, HOST),
    "a chunk that is none": b"POST %s HTTP/1.1\r\n%sTransfer-Encoding: chunked\r\n\r\nzz\r\n" % (START, HOST),
    "an encoding that is none": post(b"1", b"Transfer-Encoding: rot13"),
    "an event of the wrong type": post(b"1", b"Content-Type: text/plain", path=ONE + b"/raiseEvent/Go"),
    "JSON of 100,000 levels": post(b"[" * 100_000 + b"]" * 100_000),
    "half of a JSON of 500,000 levels": post(b'{"a":' * 100_000),
    "a start of nothing": post(b"1", path=f"{WEBHOOKS}/orchestrators/%00".encode()),
    "an unknown orchestrator": post(b"1", path=f"{WEBHOOKS}/orchestrators/{'x' * 3000}".encode()),
    "a continuation that is none": get(MANY, b"x-ms-continuation-token: rdq1.AAAA"),
    "a hub that is none": get(MANY + b"?taskHub=%00%ff"),
    "a target that is a URL": get(b"http://localhost" + MANY),
    "an input of many digits": post(b"1" * 5_000),
    **{f"a body of {body!r}": post(body, b"Content-Type: application/json") for body in BAD_JSON},
}
TAKEN = {
    "a version that is none": b"GET %s HTTP/9.9\r\n%s\r\n" % (MANY, HOST),
    "a wait that is none": post(b"1", path=START + b"?timeout=1e400&pollingInterval=nan"),
    "HTTP/1.0": b"GET %s HTTP/1.0\r\n%s\r\n" % (MANY, HOST),
    "a query of separators": get(MANY + b"?&&==&%&top&top=&top=1&=x&" + b"a=1&" * 1_000),
    "numbers without end": get(MANY + b"?top=" + b"9" * 5_000),
    "times without end": get(MANY + b"?createdTimeFrom=99999-99-99&createdTimeTo=" + b"0" * 500),
    "a header twice": get(MANY, b"x-functions-key: a", b"x-functions-key: b", b"Accept: a", b"Accept: b"),
    "an authorization that is none": get(MANY, b"Authorization: Basic \xff\xfe", b"Cookie: " + b"x" * 2_000),
    "a request id with escapes": get(MANY, b"x-request-id: \x1b[31mred"),
    "a body of another type": post(b'"x"', b"Content-Type: image/png; charset=\xff"),
    "a body for a GET": get(MANY, b"Content-Length: 3") + b"abc",
}


@asynccontextmanager
async def connected(api: Api) -> AsyncGenerator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    host, port = api.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        yield reader, writer
    finally:
        writer.close()


async def statuses(api: Api, sent: bytes, expect: int = 1) -> list[int]:
    """The statuses of the answers: so many, or those until the connection is closed."""
    told = b""
    async with connected(api) as (reader, writer), asyncio.timeout(SECONDS):
        try:
            writer.write(sent)
            await writer.drain()
            while len(found := re.findall(rb"HTTP/1\.[01] (\d{3}) ", told)) < expect:
                got = await reader.read(65_536)
                if not got:
                    break
                told += got
        except ConnectionError:  # It was closed before all was sent.
            found = re.findall(rb"HTTP/1\.[01] (\d{3}) ", told)
    return [int(status) for status in found]


async def is_well(api: Api) -> bool:
    async with speaking(base_url=api.url, timeout=SECONDS) as http:
        said = await http.post(START.decode(), json=1, params={"timeout": 10, "pollingInterval": 1})
    return (said.status_code, said.json()) == (200, 1)


@pytest.mark.parametrize("name", REFUSED)
async def test_what_is_refused(shared: Api, name: str) -> None:
    told = await statuses(shared, REFUSED[name])
    assert all(400 <= status < 500 for status in told), told
    assert await is_well(shared)


@pytest.mark.parametrize("name", TAKEN)
async def test_what_is_odd_and_taken(shared: Api, name: str) -> None:
    (status,) = await statuses(shared, TAKEN[name])
    assert 200 <= status < 300
    assert await is_well(shared)


async def test_requests_that_do_not_wait_for_their_answers(shared: Api) -> None:
    told = await statuses(shared, get(MANY + b"?top=1") * 20 + get(MANY + b"/nobody") * 20, expect=40)
    assert told == [200] * 20 + [404] * 20


async def test_callers_that_never_go_on_hold_up_nobody(shared: Api) -> None:
    async with connected(shared) as (_, silent), connected(shared) as (_, slow), connected(shared) as (_, torn):
        silent.write(b"GET / HTTP/1.1\r\nHost: l")
        slow.write(b"POST %s HTTP/1.1\r\n%sContent-Length: 50\r\n\r\n1" % (START, HOST))
        torn.write(b"POST %s HTTP/1.1\r\n%sContent-Length: 50\r\n\r\n1" % (START, HOST))
        await torn.drain()
        torn.transport.abort()
        assert await is_well(shared)


async def test_an_event_that_is_hostile_reaches_no_instance(shared: Api) -> None:
    handle = await shared.client.start("Approval", instance_id="hostile-1")
    path = f"{WEBHOOKS}/instances/hostile-1/raiseEvent/Approval".encode()
    for body in BAD_JSON:
        (status,) = await statuses(shared, post(body, b"Content-Type: application/json", path=path))
        assert status == 400, body
    deep = b"[" * 200 + b"]" * 200
    (status,) = await statuses(shared, post(deep, b"Content-Type: application/json", path=path))
    assert status in (202, 400)
    if status == 202:
        assert json.dumps(await handle.result(timeout=SECONDS)) == deep.decode()
