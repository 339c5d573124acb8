"""Two tenants with rows in every table, and clients that hold a key of one of them."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.cache import caches
from django.test import Client

from outreach.common import counting
from tenants import permissions
from tenants.models import Tenant
from tenants.services import api_keys
from tenants.services.actors import SYSTEM
from tests.console.conftest import World

EVERY_SCOPE = sorted(permissions.ROLES["client_key"])


@pytest.fixture(autouse=True)
def _counters_are_asked(running_servers):
    counting.forget()
    caches["counters"].clear()
    yield
    counting.forget()


def key_of(tenant: Tenant, *scopes: str, **terms: Any) -> str:
    """The text of a new key; without scopes it may do all that a key can."""
    return api_keys.issue(tenant, "A system", scopes or EVERY_SCOPE, actor=SYSTEM, **terms)[1]


class Api:
    """Requests with a key, JSON both ways."""

    def __init__(self, key: str = "", **headers: str) -> None:
        self.client = Client(raise_request_exception=False)
        self.headers = ({"Authorization": f"Bearer {key}"} if key else {}) | headers

    def get(self, path: str, params: Any = None) -> Any:
        return self.client.get(f"/api/v1/{path}", params, headers=self.headers)

    def post(self, path: str, body: Any = None) -> Any:
        return self.client.post(
            f"/api/v1/{path}", {} if body is None else body, content_type="application/json", headers=self.headers
        )


def is_problem(answer: Any, status: int, code: str) -> dict[str, Any]:
    """Assert the shape of RFC 9457 and return the object."""
    assert answer.status_code == status, answer.content[:300]
    assert answer.headers["Content-Type"] == "application/problem+json"
    found = answer.json()
    assert {"type", "title", "status", "detail", "instance", "code"} <= set(found)
    assert (found["type"], found["status"], found["code"]) == ("about:blank", status, code)
    return found


@pytest.fixture
def ours(db) -> World:
    return World(people=9, mailboxes=2)


@pytest.fixture
def theirs(db) -> World:
    return World(people=9, mailboxes=2)


@pytest.fixture
def api(ours) -> Api:
    """A system of ours that may do all that a key can."""
    return Api(key_of(ours.tenant))
