"""Requests that are made from the OpenAPI document, right ones and wrong ones: none is answered with 5xx, and each
answer is one that the document names."""

# pyright: basic
# The types of schemathesis are incomplete.

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial

import pytest
import requests
import schemathesis
from anyio.from_thread import start_blocking_portal
from hypothesis import HealthCheck, Phase, seed, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from redurable import Client, Worker
from redurable.http import ManagementApi
from redurable.http.openapi import document
from redurable.settings import HttpSettings
from tests.conftest import SEED
from tests.http.apps import app
from tests.http.serving import serving

pytestmark = pytest.mark.filterwarnings("ignore:Do not use the `random` module")  # schemathesis does.

EXAMPLES = 6
"""Of requests to each of the routes, beside those that try each limit of each parameter."""

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    response_headers_conformance,
]
schema = schemathesis.openapi.from_dict(document("http://localhost"))


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """A served API, in a thread of its own: schemathesis is not async."""
    hub = "schema"
    client = Client("memory://", hub=hub)
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(client),
        portal.wrap_async_context_manager(Worker(app, "memory://", hub=hub).running()),
        portal.wrap_async_context_manager(
            serving(ManagementApi(client, settings=HttpSettings(http_max_wait_ms=50)))
        ) as url,
    ):
        for instance in ("0", "one"):  # What ids are often drawn as.
            portal.call(partial(client.start, "Approval", instance_id=instance))
        yield url


@pytest.fixture(scope="module")
def session() -> Iterator[requests.Session]:
    """One connection for all requests: a new one for each takes most of the time."""
    with requests.Session() as session:
        session.trust_env = False  # Nor does it look for proxies.
        yield session


@seed(int(os.environ.get(SEED, "1")))
@schema.parametrize()
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.function_scoped_fixture],
)
def test_requests_that_fit_the_document_and_some_that_do_not(
    case: schemathesis.Case, url: str, session: requests.Session
) -> None:
    response = case.call(base_url=url, session=session, timeout=20)
    case.validate_response(response, checks=CHECKS)
