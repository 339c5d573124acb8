"""Suppressions and their lists in the console: found by what covers an address, filled from a file, removed as one."""

from __future__ import annotations

import re

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse

from campaigns.models import Suppression, SuppressionList
from campaigns.services import suppression
from tenants.services.actors import SYSTEM
from tests.console.conftest import client_of, person
from tests.console.test_actions import act, said

LIST = "admin:campaigns_suppression_changelist"


def numbers(answer) -> set[int]:
    """The rows that a list shows."""
    return {int(n) for n in re.findall(r"/campaigns/suppression/(\d+)/change/", answer.content.decode())}


def entries(world, *texts, **more):
    suppression.suppress(world.tenant, texts, actor=SYSTEM, reason="manual", via="test", **more)


@pytest.mark.parametrize(
    ("term", "found"),
    [
        ("Ann@EU.Acme.example", {"a***@eu.acme.example", "eu.acme.example", "acme.example"}),
        ("bob@eu.acme.example", {"eu.acme.example", "acme.example"}),
        ("eu.acme.example", {"eu.acme.example", "acme.example"}),
        ("*.acme.example", {"acme.example"}),
        ("a***@eu.acme.example", {"a***@eu.acme.example"}),
        ("b***@eu.acme.example", set()),
        ("acme", set()),
    ],
)
def test_a_search_finds_whatever_covers_the_address(world, as_chief, term, found):
    entries(world, "ann@eu.acme.example", "eu.acme.example", "*.acme.example")

    shown = numbers(as_chief.get(reverse(LIST), {"q": term}))

    assert {str(row) for row in Suppression.objects.filter(pk__in=shown)} == found


def test_a_list_is_made_filled_from_a_file_and_shows_its_counts(world, as_chief):
    page = reverse("admin:campaigns_suppressionlist_add")
    made = as_chief.post(
        page,
        {"scope": world.tenant.pk, "name": "Do not call", "kind": "do_not_contact", "owner": "Ann", "source": "CRM"},
    )
    row = SuppressionList.objects.get(name="Do not call")
    assert made.status_code == 302
    assert (row.tenant, row.kind, row.owner, row.source) == (world.tenant, "do_not_contact", "Ann", "CRM")
    text = b"email,reason,proof\nann@acme.example,,a letter\nbob@acme.example,opt_out,\nnobody@,,\n"

    answer = as_chief.post(
        reverse("admin:campaigns_suppressionlist_import", args=[row.pk]),
        {"file": SimpleUploadedFile("people.csv", text)}, follow=True,
    )  # fmt: skip

    assert "2 entries are new." in said(answer)
    assert "line 4, email" in said(answer)
    assert Suppression.objects.get(suppression_list=row).proof == "a letter"
    assert Suppression.objects.get(reason="opt_out").suppression_list.kind == "opt_out"
    page = as_chief.get(reverse("admin:campaigns_suppressionlist_changelist")).content.decode()
    assert f"suppression_list__id__exact={row.pk}&amp;lifted_at__isnull=True" in page


def test_an_analyst_looks_and_changes_nothing(world, as_analyst):
    row = SuppressionList.objects.get(name="Customers", tenant=world.tenant)
    before = Suppression.objects.filter(lifted_at=None).count()

    assert as_analyst.get(reverse("admin:campaigns_suppressionlist_change", args=[row.pk])).status_code == 200
    page = reverse("admin:campaigns_suppressionlist_import", args=[row.pk])
    file = SimpleUploadedFile("people.csv", b"email\nann@acme.example\n")
    assert as_analyst.post(page, {"file": file}).status_code == 403
    act(as_analyst, row, "remove", confirmed="1", reason="It ended")

    row.refresh_from_db()
    assert row.removed_at is None
    assert Suppression.objects.filter(lifted_at=None).count() == before


def test_a_file_that_is_too_large_is_refused_before_it_is_read(world, as_chief):
    row = SuppressionList.objects.get(name="Customers", tenant=world.tenant)
    page = reverse("admin:campaigns_suppressionlist_import", args=[row.pk])

    answer = as_chief.post(page, {"file": SimpleUploadedFile("people.csv", b"email\n" + b"x" * 6 * 2**20)})

    assert answer.status_code == 413


def test_the_list_of_opt_outs_offers_no_removal(world, as_chief):
    suppression.suppress(world.tenant, ["ann@acme.example"], actor=SYSTEM, reason="opt_out", via="page")
    row = SuppressionList.objects.get(kind="opt_out")

    page = as_chief.get(reverse("admin:campaigns_suppressionlist_change", args=[row.pk])).content.decode()

    assert 'value="remove"' not in page
    assert "Import a file into this list" not in page
    act(as_chief, row, "remove", confirmed="1", reason="Clean slate")
    assert Suppression.objects.get(reason="opt_out").lifted_at is None


def test_a_tenants_own_people_see_no_list_of_the_platform(world, chief):
    row = SuppressionList.objects.create(name="Everybody's", kind="do_not_contact")
    manager = client_of(person("manager@example.com", "ops_manager", world.tenant))
    place = reverse("admin:campaigns_suppressionlist_change", args=[row.pk])

    assert client_of(chief).get(place).status_code == 200
    assert manager.get(place).status_code in (302, 404)
    assert "Everybody" not in manager.get(reverse("admin:campaigns_suppressionlist_changelist")).content.decode()


def test_the_page_of_a_contact_says_what_holds_as_its_tenant_may_know_it(world, as_chief):
    ann, bob, cid = world.people[:3]
    entries(world, ann.email)
    suppression.suppress(None, [bob.email], actor=SYSTEM, reason="manual", via="test")

    def told(contact) -> str:
        return as_chief.get(reverse("admin:campaigns_contact_change", args=[contact.pk])).content.decode()

    assert "entered by staff" in told(ann)
    assert "platform limit" in told(bob)
    assert "platform limit" not in told(cid)
