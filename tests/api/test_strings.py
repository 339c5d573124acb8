"""Text that breaks programs is stored as it is or refused with a sentence, and never an error of ours."""

from __future__ import annotations

import json

import pytest

from campaigns.models import Suppression
from outreach import api as outreach_api
from tests import factories
from tests.api.conftest import Api

pytestmark = pytest.mark.attack("A44")

STRINGS = [
    "", " ", "\t", "\r\n", "\x00", "a\x00b", "\x01\x1b[31m", "\x7f", "\u0085", "\u200b\u200d\u2060", "\ufeff",
    "\u202eevil", "\u2028\u2029", "\ud800", "a\udfffb", "\U0010ffff", "e\u0301" * 40, "Z" + "\u0335" * 200, "ﷺ", "İı",
    "Straße ẞ", "日本語テスト", "👩‍👩‍👧‍👦🏳️‍🌈", "مرحبا", "undefined", "null", "None", "true", "NaN", "-Infinity",
    "0x1F", "1e309", "-1", "9" * 40, "1/0", "${jndi:ldap://x.example}", "{{ 7*7 }}", "{% debug %}", "%s%n%d", "%00%ff",
    "'; DROP TABLE tenants_tenant; --", "' OR 1=1 --", "\\", "\\u0000", "../../../etc/passwd",
    "<script>alert(1)</script>", "=cmd|' /C calc'!A0", "a@b@c", "@", "*.", "*.*", "x" * 5000, "xn--a",
    "a" * 64 + "@example.net", "[::1]", "user@[127.0.0.1]", "()[]{}", "(?:a+)+$", "__proto__", "constructor",
]  # fmt: skip


def sound(answer) -> None:
    """Not an error of ours, and JSON that every reader can read."""
    assert answer.status_code < 500, answer.content[:300]
    if answer.status_code >= 400:
        assert answer.headers["Content-Type"] == "application/problem+json"
    json.loads(answer.content.decode())


@pytest.mark.parametrize("text", STRINGS, ids=ascii)
def test_in_every_parameter_and_place_of_an_address(text, ours, api):
    sendable = text.encode("utf-8", "surrogatepass").decode("utf-8", "replace")
    for name, viewset, _basename in outreach_api.router.registry:
        filters = viewset.filterset_class.base_filters if viewset.filterset_class else {}
        for parameter in (*filters, "cursor", "page_size", "ordering"):
            sound(api.get(f"{name}/", {parameter: sendable}))
    sound(api.get("campaigns/", {sendable: sendable}))
    sound(api.client.get("/api/v1/campaigns/" + sendable, headers=api.headers))


@pytest.mark.parametrize("text", STRINGS, ids=ascii)
def test_in_every_field_of_a_body(text, ours, api):
    campaign = factories.campaign(ours.tenant, ours.pool, ours.list, status="running")

    for place, body in (
        ("suppressions/", {"entries": [text]}),
        ("suppressions/", {"entries": ["a@example.net"], "reason": text}),
        ("suppressions/", {"entries": ["a@example.net"], text: text}),
        (f"campaigns/{campaign.pk}/start/", {text: 1}),
        (f"campaigns/{campaign.pk}/pause/", {"reason": text}),
    ):
        answer = api.client.generic(
            "POST", f"/api/v1/{place}", json.dumps(body), content_type="application/json", headers=api.headers
        )
        sound(answer)

    campaign.refresh_from_db()
    if campaign.status == "paused":
        assert campaign.status_reason == text.strip()
    else:
        assert campaign.status_reason == ""
    assert Suppression.objects.filter(via="api", hint="", domain="").count() == 0


@pytest.mark.parametrize("text", STRINGS, ids=ascii)
def test_in_the_header(text, ours):
    header = text.encode("utf-8", "surrogatepass").decode("latin-1")
    for value in (header, f"Bearer {header}", f"Bearer ok_{header}", f"Bearer ok_0123456789ab_{header}"):
        answer = Api(Authorization=value).get("campaigns/")
        sound(answer)
        assert answer.status_code == 401
