"""Pages about who may, and what they open and close."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.contrib import admin
from django.core.cache import caches
from django.test import Client
from django.urls import reverse
from django.utils.timezone import now
from structlog.testing import capture_logs

from tenants import permissions
from tenants.models import AuditEntry, BreakGlass, Invitation, Membership, User
from tenants.services import invitations, members
from tenants.services.actors import SYSTEM
from tests import factories
from tests.console.conftest import client_of, person

INVITE = "/console/tenants/invitation/add/"
GRANT = "/console/tenants/membership/add/"
GLASS = "/console/break-glass/"
LINK = re.compile(r"/console/invitation/([\w-]{43})/")
PASSWORD = "a long enough one"


@pytest.fixture
def superuser(db) -> User:
    """Somebody with all rights on the platform and no membership."""
    return person("root@example.com", is_superuser=True)


@pytest.fixture
def manager(world) -> User:
    return person("manager@example.com", "ops_manager", world.tenant)


def invited(client: Client, **values) -> str:
    """Invite by the form; return the path of the link that the page shows."""
    return LINK.search(client.post(INVITE, values).content.decode()).group()


# --- Invitations -------------------------------------------------------------------------------------------


def test_the_link_is_shown_once_and_a_new_person_joins_by_it(world, manager):
    client = client_of(manager)
    link = invited(client, email="new@example.net", role="operator", tenant=world.tenant.slug)
    stranger = Client()

    assert "new@example.net" in stranger.get(link).content.decode()
    answer = stranger.post(link, {"password": PASSWORD, "again": PASSWORD})

    user = User.objects.get(email="new@example.net")
    assert "otpauth://" not in answer.content.decode()
    assert "you set up a second factor" in answer.content.decode()
    assert answer["Cache-Control"] == "no-store"
    assert Membership.objects.get(user=user).role == "operator"
    assert stranger.get(link).status_code == 404
    for page in (
        client.get("/console/tenants/invitation/"),
        client.get(f"/console/tenants/invitation/{pk(user)}/", follow=True),
    ):
        assert not LINK.search(page.content.decode())
        assert "new@example.net" in page.content.decode()


def pk(user: User) -> int:
    return Invitation.objects.get(accepted_by=user).pk


def test_two_different_passwords_make_nobody(world, manager):
    link = invited(client_of(manager), email="new@example.net", role="operator", tenant=world.tenant.slug)

    answer = Client().post(link, {"password": PASSWORD, "again": "another one"})

    assert "This is not the same password." in answer.content.decode()
    assert not User.objects.filter(email="new@example.net").exists()


def test_a_person_with_an_account_signs_in_first(world, manager, superuser):
    link = invited(client_of(manager), email=superuser.email, role="operator", tenant=world.tenant.slug)

    page = Client().get(link).content.decode()
    assert "Sign in by this address" in page
    assert "password" not in page
    assert "another address" in client_of(manager).get(link).content.decode()
    answer = client_of(superuser).post(link)

    assert (answer.status_code, answer["Location"]) == (302, "/console/")
    assert Membership.objects.get(user=superuser).tenant == world.tenant


@pytest.mark.parametrize("token", ["x", "A" * 43, "%00", "%ff"])
def test_a_wrong_link_is_nothing_and_many_are_too_many(db, token):
    caches["counters"].clear()
    client = Client()

    for _ in range(30):
        assert client.get(f"/console/invitation/{token}/").status_code == 404
    answer = client.get(f"/console/invitation/{token}/")

    assert (answer.status_code, answer["Retry-After"]) == (429, "60")
    caches["counters"].clear()


def test_taking_an_invitation_back_is_an_action(world, manager):
    client = client_of(manager)
    link = invited(client, email="new@example.net", role="operator", tenant=world.tenant.slug)
    row = Invitation.objects.filter(email="new@example.net", role="operator").get()

    client.post("/console/tenants/invitation/", {"action": "revoke", "_selected_action": row.pk, "index": "0"})

    assert Client().get(link).status_code == 404


@pytest.mark.parametrize("role", ["operator", "analyst", "auditor", "client_viewer"])
def test_who_manages_nobody_has_no_such_pages(world, role):
    client = client_of(person("low@example.com", role, world.tenant))

    for page in (INVITE, GRANT, "/console/tenants/invitation/", "/console/tenants/membership/", GLASS):
        assert client.get(page).status_code == 403, page
        assert client.post(page, {"email": "a@example.net", "role": "analyst"}).status_code == 403, page


def test_no_token_and_no_password_is_logged(world, manager):
    with capture_logs() as logs:
        link = invited(client_of(manager), email="new@example.net", role="operator", tenant=world.tenant.slug)
        Client().post(link, {"password": PASSWORD, "again": PASSWORD})

    assert len(logs) >= 4
    assert not [line for line in logs if LINK.search(link).group(1) in str(line) or PASSWORD in str(line)]


# --- Memberships -------------------------------------------------------------------------------------------


def test_a_superuser_makes_somebody_a_member_of_a_tenant_out_of_sight(world, superuser, analyst):
    values = {"user": analyst.email.upper(), "role": "ops_manager", "tenant": world.tenant.slug}

    answer = client_of(superuser).post(GRANT, values, follow=True)

    assert answer.status_code == 200
    held = Membership.objects.get(user=analyst, tenant=world.tenant)
    assert held.role == "ops_manager"
    assert AuditEntry.objects.filter(action="membership.granted", tenant=world.tenant, after="ops_manager").exists()


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"user": "nobody@example.net"}, "invite them instead"),
        ({"user": "manager@example.com"}, "to yourself"),
        ({"tenant": "elsewhere"}, "There is no tenant"),
        ({"tenant": ""}, "may not make anybody"),
        ({"role": "ops_manager"}, "may not make anybody"),
        ({"expires_at": "2020-01-01 10:00"}, "over before it begins"),
    ],
)
def test_a_form_that_gives_too_much_gives_nothing(world, manager, analyst, values, says):
    factories.tenant(slug="elsewhere")
    before = Membership.objects.count()
    form = {"user": analyst.email, "role": "operator", "tenant": world.tenant.slug}

    answer = client_of(manager).post(GRANT, form | values)

    assert says in answer.content.decode()
    assert Membership.objects.count() == before


@pytest.mark.parametrize("how", ["expiry", "end"])
def test_an_open_session_sees_nothing_from_the_next_request_on(world, how):
    user = person("guest@example.com", "analyst", world.tenant)
    client = client_of(user)
    page = reverse("admin:campaigns_campaign_change", args=[world.campaign.pk])
    assert client.get(page).status_code == 200

    if how == "expiry":
        Membership.objects.filter(user=user).update(expires_at=now() - timedelta(hours=1))
    else:
        members.end(Membership.objects.get(user=user), actor=SYSTEM)

    assert client.get(page).status_code in (302, 403, 404)
    if how == "end":  # which ends the session as well
        assert client.get("/console/").status_code == 302
        client = client_of(user)
    assert "You have no role in any tenant yet." in client.get("/console/").content.decode()


# --- A superuser without a membership ----------------------------------------------------------------------

OURS = sorted(
    (model for model in admin.site._registry if model._meta.app_label in ("tenants", "mailboxes", "campaigns")),
    key=lambda model: model._meta.label,
)
OF_THE_PLATFORM = {
    "tenants.User", "tenants.Lease", "tenants.SecondFactor", "tenants.RecoverySheet", "tenants.SignedIn",
    "mailboxes.QuotaGroup", "mailboxes.ReceiverDomain", "mailboxes.ReceiverLimit",
}  # fmt: skip


@pytest.mark.attack("A26")
@pytest.mark.parametrize("model", OURS, ids=lambda model: model._meta.label)
def test_a_superuser_without_a_membership_sees_no_tenants_rows(model, world, superuser):
    client = client_of(superuser)
    name = f"admin:{model._meta.app_label}_{model._meta.model_name}"

    answer = client.get(reverse(f"{name}_changelist"))

    if model._meta.label in OF_THE_PLATFORM:
        assert answer.status_code == 200
    elif answer.status_code == 200:
        assert [row for row in answer.context["cl"].result_list if row.tenant_id] == []
    else:
        assert answer.status_code == 403


def test_a_superuser_without_a_membership_is_told_what_to_do(world, superuser):
    page = client_of(superuser).get("/console/").content.decode()

    assert "You have no role in any tenant yet." in page
    assert GLASS in page
    assert world.campaign.name not in page


# --- The glass ---------------------------------------------------------------------------------------------


def breaks(user: User, slug: str, **values) -> Client:
    client = client_of(user)
    client.post(GLASS, {"slug": slug, "reason": "Bounces at night", "minutes": "30", **values})
    return client


def sees(client: Client, world) -> bool:
    return client.get(reverse("admin:campaigns_campaign_change", args=[world.campaign.pk])).status_code == 200


def test_breaking_the_glass_opens_exactly_one_tenant_and_says_so_on_every_page(world, second_world, superuser):
    client = breaks(superuser, world.tenant.slug)

    assert (sees(client, world), sees(client, second_world)) == (True, False)
    for page in ("/console/", "/console/tenants/tenant/", "/console/roles/", GLASS, INVITE):
        text = client.get(page).content.decode()
        assert "You broke the glass of" in text, page
        assert "End now" in text, page
    told = AuditEntry.objects.get(action="glass.broken")
    assert (told.actor_user_id, told.tenant_id, told.facts) == (superuser.pk, world.tenant.pk, {"minutes": 30})


def test_the_glass_closes_by_time(world, superuser):
    client = breaks(superuser, world.tenant.slug)
    BreakGlass.objects.filter(user=superuser).update(
        created_at=now() - timedelta(hours=1), until=now() - timedelta(seconds=1)
    )

    assert not sees(client, world)
    assert "You broke the glass" not in client.get("/console/").content.decode()


def test_the_glass_closes_by_end_now(world, superuser):
    client = breaks(superuser, world.tenant.slug)

    client.post("/console/break-glass/end/")

    assert not sees(client, world)
    assert AuditEntry.objects.filter(action="glass.mended", tenant=world.tenant).exists()
    assert BreakGlass.objects.get(user=superuser).ended_at is not None
    assert client.get("/console/break-glass/end/").status_code == 405


def test_one_persons_glass_opens_nothing_for_another(world, superuser):
    breaks(superuser, world.tenant.slug)
    second = client_of(person("second@example.com", is_superuser=True))

    assert not sees(second, world)
    assert "You broke the glass" not in second.get("/console/").content.decode()


def test_the_glass_of_somebody_demoted_closes(world, superuser):
    client = breaks(superuser, world.tenant.slug)
    User.objects.filter(pk=superuser.pk).update(is_superuser=False)

    assert not sees(client, world)
    assert client.get(GLASS).status_code == 403


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"minutes": "61"}, "less than or equal to 60"),
        ({"minutes": "0"}, "greater than or equal to 1"),
        ({"reason": " "}, "required"),
        ({"slug": "nowhere"}, "There is no tenant"),
    ],
)
def test_a_glass_needs_a_tenant_a_reason_and_an_end(world, superuser, values, says):
    before = BreakGlass.objects.count()
    form = {"slug": world.tenant.slug, "reason": "Bounces", "minutes": "30"}

    answer = client_of(superuser).post(GLASS, form | values)

    assert says in answer.content.decode()
    assert BreakGlass.objects.count() == before


def test_a_platform_admin_who_is_no_superuser_breaks_no_glass(world):
    client = client_of(person("admin@example.com", "platform_admin"))

    assert client.post(GLASS, {"slug": world.tenant.slug, "reason": "x", "minutes": "5"}).status_code == 403


# --- The table ---------------------------------------------------------------------------------------------


def test_the_page_of_roles_is_the_table_in_code(world):
    page = client_of(person("viewer@example.com", "client_viewer", world.tenant)).get("/console/roles/")

    shown = dict(page.context["rows"])
    assert set(shown) == permissions.ALL
    for column, granted in enumerate(permissions.ROLES.values()):
        assert {name for name, marks in shown.items() if marks[column]} == granted


def test_a_form_without_its_token_is_refused_on_a_page_of_ours(db):
    answer = Client(enforce_csrf_checks=True).post("/console/login/", {"username": "x"})

    assert answer.status_code == 403
    assert "load the page anew" in answer.content.decode()
    assert "<style" not in answer.content.decode()


def test_the_page_of_an_invitation_lets_browsers_name_where_its_form_comes_from(client, db):
    """By no-referrer they would post with `Origin: null`, and the form would be refused."""
    _invited, token = invitations.invite("new@example.com", "client_viewer", factories.tenant().pk, actor=SYSTEM)

    assert client.get(f"/console/invitation/{token}/").headers["Referrer-Policy"] == "strict-origin"
