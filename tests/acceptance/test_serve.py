"""`redurable serve` as a person uses it: a process beside a worker, curl's part played by a client of HTTP."""

from __future__ import annotations

import re
import signal
from collections.abc import Generator
from contextlib import contextmanager

import httpx2
import pytest

from tests.support.shop_line import SECONDS, Running, Shop, until

pytestmark = pytest.mark.timeout(200)

BASE = "/runtime/webhooks/durabletask"
SECRET = "operator-0123456789"


@contextmanager
def serving(shop: Shop, *words: str) -> Generator[tuple[Running, str]]:
    with shop.process("serve", "--port", "0", *words) as api:
        found = re.search(r"listening on (http://\S+)", api.line("redurable serve is ready"))
        assert found is not None
        yield api, found[1]


@pytest.mark.usefixtures("shop_worker")
def test_an_instance_is_started_watched_and_ended_over_http(shop: Shop) -> None:
    with serving(shop) as (api, url), httpx2.Client(base_url=url, timeout=2 * SECONDS) as http:
        said = http.post(f"{BASE}/orchestrators/hello?timeout=20&pollingInterval=1", content=b'"Ada"')
        assert (said.status_code, said.json()) == (200, "Hello Ada.")
        urls = http.post(f"{BASE}/orchestrators/wait_for/order-1", json="Approval").json()
        assert http.get(urls["statusQueryGetUri"]).status_code == 202
        assert http.post(urls["terminatePostUri"].replace("{text}", "no%20stock")).status_code == 202
        assert http.get("/readyz").status_code == 200
        assert http.get("/scaler").json() >= 0
        assert api.end(signal.SIGTERM) == 0
        log = api.log.read_text()
    assert "action=terminate key=- hub=shop instance=order-1 outcome=done" in log
    assert 'note="no stock"' in log
    assert "Traceback" not in log
    until(lambda: shop.json("status", "order-1")["runtime_status"] == "Terminated", "the worker has heard of it")


@pytest.mark.usefixtures("shop_worker")
def test_keys_are_in_no_log(shop: Shop) -> None:
    (shop.directory / "keys").write_text(f"do:operate:{SECRET}\n")
    with serving(shop, "--keys-file", "keys", "--host", "0.0.0.0") as (api, url):
        with httpx2.Client(base_url=url.replace("0.0.0.0", "127.0.0.1"), timeout=SECONDS) as http:
            assert http.get(f"{BASE}/instances").status_code == 401
            assert http.get(f"{BASE}/instances?code={SECRET}").status_code == 200
            assert http.delete(f"{BASE}/instances/x?code={SECRET}").status_code == 403
        assert api.end(signal.SIGINT) == 0
        log = api.log.read_text()
    assert SECRET not in log
    assert "action=purge key=do hub=shop instance=x outcome=refused" in log


def test_what_it_refuses(shop: Shop) -> None:
    said = shop.run("serve", "--host", "0.0.0.0", code=1)
    assert "the API has no keys, so it is not served on 0.0.0.0" in said
    assert "--insecure" in said
    said = shop.run("serve", "--keys-file", "nowhere", code=1)
    assert "the file of API keys 'nowhere' cannot be read: No such file or directory" in said
    assert "--port" in shop.run("serve", "--port", "70000", code=2)
