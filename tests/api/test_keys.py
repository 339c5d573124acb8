"""Which keys open the API, and that none of them shows anywhere."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.urls import reverse
from django.utils.timezone import now

from outreach import logs
from outreach.common.errors import BadInput, InvalidMove, NotAllowed
from tenants import permissions
from tenants.models import ApiKey
from tenants.services import api_keys, tenants
from tenants.services.actors import SYSTEM, Actor
from tests import factories
from tests.api.conftest import Api, is_problem, key_of
from tests.console.conftest import client_of, person


def manager(tenant) -> Actor:
    return Actor("user", "manager", within={tenant.pk: permissions.ROLES["ops_manager"]})


def issue(tenant, *scopes, **terms):
    return api_keys.issue(tenant, "Shop", scopes or ["campaigns.view"], actor=SYSTEM, **terms)


# --- Issuing --------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_a_key_is_kept_as_a_hash_only():
    key, text = issue(factories.tenant(), "mailboxes.view", "campaigns.view", ranges=["192.0.2.0/24"])

    key.refresh_from_db()
    start, prefix, secret = text.split("_", 2)
    assert (start, prefix) == ("ok", key.prefix)
    assert bytes(key.key_hash) == api_keys.hashed(secret)
    assert (key.scopes, key.ranges) == (["campaigns.view", "mailboxes.view"], ["192.0.2.0/24"])
    assert not [name for name, value in vars(key).items() if secret in str(value)]


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("terms", "field"),
    [
        ({"scopes": []}, "scopes"),
        ({"scopes": ["campaigns.settle"]}, "scopes"),
        ({"name": "  "}, "name"),
        ({"name": "n" * 101}, "name"),
        ({"ranges": ["10.0.0.1/8"]}, "ranges"),
        ({"ranges": ["everywhere"]}, "ranges"),
        ({"ranges": ["fe80::%eth0/64"]}, "ranges"),
        ({"expires_at": now() - timedelta(days=1)}, "expires_at"),
    ],
)
def test_a_key_that_makes_no_sense_is_refused_with_the_field(terms, field):
    given = {"name": "Shop", "scopes": ["campaigns.view"]} | terms

    with pytest.raises(BadInput) as refusal:
        api_keys.issue(factories.tenant(), given.pop("name"), given.pop("scopes"), actor=SYSTEM, **given)

    assert refusal.value.details["field"] == field
    assert not ApiKey.objects.exists()


@pytest.mark.django_db
def test_only_managers_of_the_tenant_issue_and_revoke():
    ours, theirs = factories.tenant(), factories.tenant()
    key, _ = api_keys.issue(ours, "Shop", ["campaigns.view"], actor=manager(ours))
    operator = Actor("user", "operator", within={ours.pk: permissions.ROLES["operator"]})

    for actor in (manager(theirs), operator):
        with pytest.raises(NotAllowed):
            api_keys.issue(ours, "Shop", ["campaigns.view"], actor=actor)
        with pytest.raises(NotAllowed):
            api_keys.revoke(key, actor=actor)

    assert ApiKey.objects.get().revoked_at is None


@pytest.mark.django_db
def test_nobody_gives_a_key_what_they_may_not_do():
    tenant = factories.tenant()
    clerk = Actor("user", "clerk", within={tenant.pk: frozenset({"tenants.issue_keys", "campaigns.view"})})

    with pytest.raises(NotAllowed):
        api_keys.issue(tenant, "Shop", ["campaigns.view", "campaigns.cancel"], actor=clerk)

    assert not ApiKey.objects.exists()


@pytest.mark.django_db
def test_a_key_is_revoked_once():
    key, _ = issue(factories.tenant())
    api_keys.revoke(key, actor=SYSTEM)

    with pytest.raises(InvalidMove):
        api_keys.revoke(key, actor=SYSTEM)


@pytest.mark.django_db
def test_the_command_prints_the_key_once(capsys):
    tenant = factories.tenant()
    call_command("issue_key", "--tenant", tenant.slug, "--name", "Shop", "--scope", "campaigns.view")

    printed = capsys.readouterr()
    assert Api(printed.out.strip()).get("campaigns/").json()["results"] == []
    assert printed.out.strip() not in printed.err
    with pytest.raises(CommandError):
        call_command("issue_key", "--tenant", "nobody", "--name", "Shop", "--scope", "campaigns.view")


# --- Using ----------------------------------------------------------------------------------------------


def refused(answer) -> str:
    problem = is_problem(answer, 401, "unknown_key")
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="api"'
    return problem["detail"]


def test_without_a_key_nothing_opens(ours):
    assert refused(Api().get("campaigns/")).startswith("Send your key in a header")
    assert refused(Api().post(f"campaigns/{ours.campaign.pk}/pause/")).startswith("Send your key in a header")


def test_a_signed_in_person_is_nobody_here(ours):
    client = client_of(person("chief@example.com", "platform_admin", is_superuser=True))
    refused(client.get("/api/v1/campaigns/"))


def test_a_key_in_the_address_is_not_taken(ours):
    text = key_of(ours.tenant)
    for name in ("api_key", "key", "access_token"):
        refused(Api().get("campaigns/", {name: text}))
        is_problem(Api(text).get("campaigns/", {name: text}), 400, "bad_input")


@pytest.mark.parametrize("header", ["Basic b2s6b2s=", "Bearer", "Bearer ", "ok_1_2", "Token x", "Bearer " + "x" * 500])
def test_other_headers_open_nothing(ours, header):
    refused(Api(Authorization=header).get("campaigns/"))


def test_keys_that_do_not_hold_get_one_and_the_same_answer(ours, theirs):
    good = key_of(ours.tenant)
    revoked, revoked_text = issue(ours.tenant)
    api_keys.revoke(revoked, actor=SYSTEM)
    expired, expired_text = issue(ours.tenant)
    ApiKey.objects.filter(pk=expired.pk).update(expires_at=now() - timedelta(hours=1))
    closed = key_of(theirs.tenant)
    type(theirs.tenant).objects.filter(pk=theirs.tenant.pk).update(status="closed")
    elsewhere = key_of(ours.tenant, ranges=["192.0.2.0/24", "2001:db8::/32"])
    wrong_secret = good[:-1] + ("A" if good[-1] != "A" else "B")
    wrong_prefix = "ok_000000000000_" + good.split("_", 2)[2]
    spaced = good + " x"

    texts = [revoked_text, expired_text, closed, elsewhere, wrong_secret, wrong_prefix, spaced]
    assert {refused(Api(text).get("campaigns/")) for text in texts} == {api_keys.REFUSED}
    assert Api(good).get("campaigns/").status_code == 200


@pytest.mark.attack("A32")
def test_a_made_up_header_brings_no_key_into_its_range(ours, settings):
    elsewhere = key_of(ours.tenant, ranges=["192.0.2.0/24"])

    answer = Api(elsewhere, **{"X-Forwarded-For": "192.0.2.9", "X-Real-IP": "192.0.2.9"}).get("campaigns/")
    assert answer.status_code in (401, 403)
    settings.TRUSTED_PROXIES = ["127.0.0.1"]
    assert Api(elsewhere, **{"X-Forwarded-For": "1.2.3.4, 192.0.2.9"}).get("campaigns/").status_code == 200
    assert Api(elsewhere, **{"X-Forwarded-For": "192.0.2.9, 1.2.3.4"}).get("campaigns/").status_code in (401, 403)


def test_a_key_opens_from_its_ranges(ours):
    for ranges in (["127.0.0.0/8"], ["2001:db8::/32", "127.0.0.1/32"]):
        assert Api(key_of(ours.tenant, ranges=ranges)).get("campaigns/").status_code == 200


@pytest.mark.parametrize(
    ("address", "inside"),
    [("192.0.2.9", True), ("::ffff:192.0.2.9", True), ("192.0.3.9", False), ("", False), ("unix:", False)],
)
def test_addresses_are_judged_as_what_they_are(address, inside):
    assert api_keys._inside(address, ["192.0.2.0/24"]) is inside


def test_a_missing_scope_is_403_and_changes_nothing(ours):
    looking = Api(key_of(ours.tenant, "campaigns.view"))

    problem = is_problem(looking.post(f"campaigns/{ours.campaign.pk}/pause/"), 403, "not_allowed")
    assert problem["permission"] == "campaigns.pause"
    is_problem(looking.get("mailboxes/"), 403, "not_allowed")
    ours.campaign.refresh_from_db()
    assert ours.campaign.status == "running"


def test_a_suspended_tenants_key_looks_and_stops_but_starts_nothing(ours, api):
    tenants.suspend(ours.tenant, actor=SYSTEM, reason="unpaid")
    draft = factories.campaign(ours.tenant, ours.pool, ours.list)

    assert api.get("campaigns/").status_code == 200
    assert api.post(f"campaigns/{ours.campaign.pk}/cancel/").json()["status"] == "cancelled"
    assert api.post("suppressions/", {"entries": ["out@example.net"], "reason": "opt_out"}).json() == {"added": 1}
    is_problem(api.post(f"campaigns/{draft.pk}/start/"), 403, "not_allowed")


def test_use_is_noted_to_the_minute(ours):
    key, text = issue(ours.tenant)
    long_ago = now() - timedelta(minutes=5)

    Api(text).get("campaigns/")
    key.refresh_from_db()
    first = key.last_used_at
    Api(text).get("campaigns/")
    key.refresh_from_db()
    assert key.last_used_at == first is not None
    ApiKey.objects.filter(pk=key.pk).update(last_used_at=long_ago)
    Api(text).get("campaigns/999/")
    key.refresh_from_db()
    assert key.last_used_at > long_ago


# --- Secrets --------------------------------------------------------------------------------------------


def test_the_console_shows_a_key_once_and_then_never(ours):
    client = client_of(person("manager@example.com", "ops_manager"))
    add, listed = reverse("admin:tenants_apikey_add"), reverse("admin:tenants_apikey_changelist")
    form = {"tenant": ours.tenant.pk, "name": "New shop", "scopes": ["campaigns.view"], "ranges": "192.0.2.0/24\n"}

    assert client.get(add).status_code == 200
    shown = client.post(add, form)
    text = shown.context["key_text"]
    key = ApiKey.objects.get(name="New shop")
    detail = reverse("admin:tenants_apikey_change", args=[key.pk])

    assert "no-store" in shown.headers["Cache-Control"]
    assert text in shown.content.decode()
    for page in (client.get(listed), client.get(detail), client.get(listed, {"q": key.prefix})):
        assert key.prefix in page.content.decode()
        for secret in (text.split("_", 2)[2], bytes(key.key_hash).hex(), repr(bytes(key.key_hash))[2:-1]):
            assert secret not in page.content.decode()


def test_the_console_names_a_bad_range_and_issues_nothing(ours):
    client = client_of(person("manager@example.com", "ops_manager"))
    form = {"tenant": ours.tenant.pk, "name": "New shop", "scopes": ["campaigns.view"], "ranges": "nonsense"}

    page = client.post(reverse("admin:tenants_apikey_add"), form)

    assert "&#x27;nonsense&#x27; is no address range" in page.content.decode()
    assert not ApiKey.objects.filter(name="New shop").exists()


def test_the_console_revokes_after_a_question(ours):
    client = client_of(person("manager@example.com", "ops_manager"))
    key, text = issue(ours.tenant)
    act = {"action": "revoke", "_selected_action": key.pk, "index": "0"}

    client.post(reverse("admin:tenants_apikey_changelist"), act)
    assert Api(text).get("campaigns/").status_code == 200
    client.post(reverse("admin:tenants_apikey_changelist"), act | {"confirmed": "1"})
    refused(Api(text).get("campaigns/"))


def test_no_key_and_no_hash_reaches_a_log(ours, capsys):
    logs.configure({"level": "DEBUG"})
    try:
        key, text = issue(ours.tenant)
        for path_ in ("campaigns/", f"campaigns/{text}/", f"campaigns/?api_key={text}"):
            Api(text).get(path_)
            Api().get(path_)
        Api(text + "x").get("campaigns/")
        Api(text).post("suppressions/", {"entries": [text], "reason": "manual"})
        api_keys.revoke(key, actor=SYSTEM)
        Api(text).get("campaigns/")
    finally:
        logs.configure({"level": "WARNING"})
    logged = capsys.readouterr().err

    assert "key.issued" in logged
    assert key.prefix in logged
    for line in logged.splitlines():
        assert text.split("_", 2)[2] not in line
        assert bytes(key.key_hash).hex() not in line
