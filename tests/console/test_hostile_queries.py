"""Addresses and forms that no page of ours makes: lookups that feel out columns, fields that no form has."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib import admin

from campaigns.models import Batch, Contact, Suppression
from mailboxes.models import Mailbox
from outreach.checks import is_of_tenants
from outreach.common import isolation
from tenants.models import Tenant, User
from tests import factories
from tests.console.conftest import World, client_of, person
from tests.console.wall import changed, dump, named, rows_of

OURS = [model for model in admin.site._registry if is_of_tenants(model) or model is User]
REFUSED = (
    "owner__password__startswith=pbkdf2", "user__password__startswith=pbkdf2", "tenant__slug__startswith=a",
    "mailbox__sealed_password__isnull=0", "contact__email__startswith=a", "pk__gt=0", "id__in=1,2", "password__regex=.",
    "nonsense=1", "tenant__pk__regex=.", "campaign__tenant__name=x", "sealed_password__startswith=x", "hash__gt=0",
    "_to_field=password", "_to_field=email", "_to_field=tenant", "tenant__id__exact=%00", "%00=1",
)  # fmt: skip
ANSWERED = (  # of columns that some lists filter by; the others refuse them
    "tenant__id__exact=abc", "tenant__id__exact=99999999999999999999999", "tenant__id__exact=-1",
    "tenant__isnull=perhaps", "status__exact=nonsense", "status__in=a,b", "state__gt=%F0%9F%92%A9", "key__exact=abc",
    "key__exact=9e99", "campaign__id__exact=abc", "campaign__id__exact=99999999999999999999999",
    "contact__id__exact=%27--", "due_at__isnull=perhaps", "message_ref__exact=99999999999999999999",
)  # fmt: skip
OF_EVERY_LIST = (
    "e=1", "p=abc", "p=-1", "p=999999", "o=99.-99", "o=abc", "all=", "q=%00", "_popup=1", "_popup=%22%3E",
    "_to_field=id", "_changelist_filters=x", "work=nonsense", "condition=nonsense",
    "tag=nonsense", "tag=%00", "tag=%3Cscript%3E",
)  # fmt: skip
LISTS = (Contact, Mailbox, Batch)  # searched by index, searched by Django, not searched


@pytest.mark.attack("A27")
@pytest.mark.parametrize("query", REFUSED)
def test_lookups_that_no_page_offers_are_refused(world, as_chief, query):
    lookup = query.partition("=")[0]
    others = [model for model in OURS if lookup not in getattr(admin.site._registry[model], "linked_by", ())]
    answers = {model._meta.label: as_chief.get(f"{named(model, 'changelist')}?{query}").status_code for model in others}

    assert set(answers.values()) == {400}, answers


@pytest.mark.attack("A27")
def test_odd_values_never_fail(world, as_chief):
    as_chief.raise_request_exception = False
    failed = [
        (model._meta.label, query)
        for model in OURS
        for query in (*ANSWERED, *(OF_EVERY_LIST if model in LISTS else ()))
        if as_chief.get(f"{named(model, 'changelist')}?{query}").status_code not in (200, 302, 400)
    ]

    assert failed == []


@pytest.mark.attack("A27")
@pytest.mark.parametrize("path", ["", "delete/", "change/", "history/"])
def test_odd_row_numbers_are_not_found(world, as_chief, path):
    as_chief.raise_request_exception = False
    odd = ("abc", "0", "-1", "99999999999999999999999", "1%00", "%2e%2e", "1_2F2", "1' OR 1=1", "%F0%9F%92%A9")

    for model in OURS:
        for pk in odd:
            answer = as_chief.get(f"{named(model, 'changelist')}{pk}/{path}", follow=True)
            assert answer.status_code in (400, 403, 404) or answer.redirect_chain, (model, pk)


@pytest.mark.attack("A27")
def test_odd_autocomplete_pages_and_searches_never_fail(world, as_chief):
    as_chief.raise_request_exception = False
    for url in (
        "autocomplete/?app_label=campaigns&model_name=message&field_name=contact&term=a&page=x",
        "autocomplete/?app_label=campaigns&model_name=message&field_name=nonsense",
        "autocomplete/?app_label=x&model_name=y&field_name=z",
        "autocomplete/",
        "search/?s=a&page=abc",
        "search/?s=a&page=99",
        "search/?s=%00",
        "sent.json?range=nonsense",
        "r/1/1/",
    ):
        assert as_chief.get(f"/console/{url}").status_code in (200, 400, 403, 404), url


@pytest.mark.attack("A29")
@pytest.mark.parametrize("ids", ["abc", "\x00", "99999999999999999999999", "", "-1"])
def test_odd_ticks_never_fail(world, as_chief, ids):
    as_chief.raise_request_exception = False
    before = dump()
    for model, model_admin in admin.site._registry.items():
        if is_of_tenants(model):
            for action in [*(model_admin.actions or ()), "nonsense", ""]:
                values = {"action": action, "_selected_action": ids, "index": "0", "confirmed": "1", "reason": "x"}
                answer = as_chief.post(named(model, "changelist"), values)
                assert answer.status_code in (200, 302, 400), (model, action)
    assert changed(before, dump()) == []


# --- Fields that no form has ----------------------------------------------------------------------------------

EXTRA: dict[str, Any] = {
    "id": "1", "pk": "1", "user": "1", "is_superuser": "on", "is_staff": "on", "is_active": "on",
    "role": "platform_admin",
    "created_by": "1", "daily_cap": "999999", "status": "running", "state": "active", "cap": "999999", "reserved": "0",
    "sealed_password": "x", "name": "raid", "created_at": "2001-01-01", "hourly_cap": "999999", "via": "raid",
    "postal_address": "raid",
}  # fmt: skip


@pytest.mark.attack("A28")
def test_no_post_to_a_change_page_changes_a_row(world: World, as_chief):
    elsewhere = World(people=9, mailboxes=2)
    before = dump()

    for model, model_admin in admin.site._registry.items():
        row = (
            rows_of(model, world)[0] if is_of_tenants(model) else model._base_manager.first() if model is User else None
        )
        if row is None:
            continue
        values = EXTRA | {"tenant": elsewhere.tenant.pk, "tenant_id": elsewhere.tenant.pk, "_save": "Save"}
        for inline in model_admin.inlines:
            prefix = (
                inline.model._meta.get_field(inline.fk_name).name if inline.fk_name else inline.model._meta.model_name
            )
            for name in (prefix, f"{prefix}s", f"{prefix}_set", "steps", "enrolments", "rotation"):
                values |= {f"{name}-TOTAL_FORMS": "1", f"{name}-INITIAL_FORMS": "0", f"{name}-0-tenant": "1"}
        assert as_chief.post(named(model, "change", row.pk), values).status_code == 403
        listed = {"form-TOTAL_FORMS": "1", "form-INITIAL_FORMS": "1", "form-0-id": row.pk, "_save": "Save"}
        as_chief.post(named(model, "changelist"), {f"form-0-{name}": value for name, value in values.items()} | listed)

    assert changed(before, dump()) == []


@pytest.mark.attack("A28")
def test_add_pages_without_a_form_refuse_and_the_others_take_their_own_fields_only(world: World, as_chief):
    before = dump()
    for model, model_admin in admin.site._registry.items():
        if is_of_tenants(model) and model_admin.add_form is None:
            assert as_chief.post(named(model, "add"), EXTRA | {"tenant": world.tenant.pk}).status_code == 403
    assert changed(before, dump()) == []

    given = {"slug": "acme", "name": "Acme", "time_zone": "UTC", "postal_address": "1 Road, Kyiv"}
    as_chief.post(named(Tenant, "add"), {**EXTRA, "status": "closed", **given})
    as_chief.post(named(User, "add"), {**EXTRA, "email": "new@example.com", "password": "chosen-by-the-attacker"})
    other = factories.tenant()
    given = {"scope": world.tenant.pk, "entries": "mass@example.org", "reason": "manual"}
    as_chief.post(named(Suppression, "add"), {**EXTRA, "tenant": other.pk, "kind": "wildcard", **given})

    with isolation.everything():
        acme = Tenant.objects.get(slug="acme")
    assert (acme.status, acme.daily_cap, acme.postal_address) == ("active", None, "1 Road, Kyiv")
    new = User.objects.get(email="new@example.com")
    assert (new.is_superuser, new.check_password("chosen-by-the-attacker")) == (False, False)
    entry = Suppression.objects.get(hint="m***@example.org")
    assert (entry.tenant_id, entry.kind, entry.via) == (world.tenant.pk, "address", "console")


@pytest.mark.attack("A28", "A29")
def test_a_manager_of_one_tenant_makes_nothing_for_another(world: World):
    own = factories.tenant()
    client = client_of(person("stranger@example.net", "ops_manager", own))
    before = dump()

    given = {"scope": world.tenant.pk, "entries": "mass@example.org", "reason": "manual"}
    answer = client.post(named(Suppression, "add"), given)
    platform = client.post(named(Suppression, "add"), {**given, "scope": "platform"})

    assert "scope" in answer.context["form"].errors
    assert platform.context["form"].errors
    assert client.post(named(Tenant, "add"), {"slug": "x", "name": "x"}).status_code == 403
    assert client.post(named(User, "add"), {"email": "x@example.com"}).status_code == 403
    assert changed(before, dump()) == []
