"""Who may invite whom, and what a link is worth."""

from __future__ import annotations

import hashlib
from contextlib import nullcontext
from datetime import timedelta

import pytest
from django.db import connection
from django.utils.timezone import now
from structlog.testing import capture_logs

from outreach.common import isolation
from outreach.common.errors import BadInput, InvalidMove, Missing, NotAllowed
from tenants.models import Invitation, Membership, User
from tenants.services import actors, factors, invitations, members
from tenants.services.actors import SYSTEM, Actor
from tests import factories
from tests.tenants.conftest import user_of

pytestmark = pytest.mark.django_db

ANONYMOUS = Actor("user", "anonymous")
PASSWORD = "a long enough one"


def refused(allowed: bool):
    return nullcontext() if allowed else pytest.raises(NotAllowed)


# --- Inviting ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("inviter", "gives", "allowed"),
    [
        ("superuser", "platform_admin", True),
        ("platform_admin", "ops_manager", True),
        ("ops_manager", "operator", True),
        ("ops_manager", "analyst", True),
        ("ops_manager", "client_viewer", True),
        ("ops_manager", "ops_manager", False),
        ("ops_manager", "platform_admin", False),
        ("ops_manager", "auditor", False),
        ("operator", "analyst", False),
        ("analyst", "client_viewer", False),
        ("auditor", "client_viewer", False),
        ("client_viewer", "client_viewer", False),
        ("nobody", "client_viewer", False),
    ],
)
def test_who_may_invite_whom_into_the_own_tenant(tenant, actor_as, inviter, gives, allowed):
    # a platform admin of one tenant administers no platform, so that role is held everywhere here
    actor = actor_as(inviter, None if inviter == "platform_admin" else tenant)

    with refused(allowed), capture_logs() as logs:
        invitations.invite("new@example.net", gives, tenant.pk, actor=actor)

    assert Invitation.objects.count() == int(allowed)
    assert [line["event"] for line in logs] == ["invitation.made"] * allowed


@pytest.mark.parametrize(("inviter", "allowed"), [("ops_manager", False), ("operator", False), ("superuser", True)])
def test_who_may_invite_into_a_tenant_of_others(tenant, other, actor_as, inviter, allowed):
    with refused(allowed):
        invitations.invite("new@example.net", "operator", other.pk, actor=actor_as(inviter, tenant))

    assert Invitation.objects.count() == int(allowed)


@pytest.mark.parametrize("inviter", ["ops_manager", "operator"])
def test_only_a_platform_admin_invites_staff_into_every_tenant(actor_as, inviter):
    with pytest.raises(NotAllowed):
        invitations.invite("new@example.net", "analyst", None, actor=actor_as(inviter))

    assert not Invitation.objects.exists()


def test_a_client_viewer_belongs_to_one_tenant(tenant):
    with pytest.raises(BadInput, match="belongs to one tenant"):
        invitations.invite("new@example.net", "client_viewer", None, actor=SYSTEM)


@pytest.mark.parametrize("role", ["superuser", "platform_admin"])
def test_nobody_invites_themselves(tenant, actor_as, role):
    actor = actor_as(role)

    with pytest.raises(NotAllowed, match="yourself"):
        invitations.invite(user_of(actor).email.upper(), "operator", tenant.pk, actor=actor)

    assert not Invitation.objects.exists()


@pytest.mark.parametrize("email", ["", "nobody", "a@b", "a b@example.net"])
def test_an_address_has_to_be_one(tenant, email):
    with pytest.raises(BadInput, match="no e-mail address"):
        invitations.invite(email, "operator", tenant.pk, actor=SYSTEM)


def test_only_the_hash_of_the_token_is_kept(tenant):
    made, token = invitations.invite("new@example.net", "operator", tenant.pk, actor=SYSTEM)

    assert len(token) == 43
    assert bytes(made.token_hash) == hashlib.sha256(token.encode()).digest()
    assert token not in str(Invitation.objects.values().get())


def test_a_second_invitation_replaces_the_open_one(tenant):
    _, first = invitations.invite("new@example.net", "operator", tenant.pk, actor=SYSTEM)
    _, second = invitations.invite("New@example.net", "operator", tenant.pk, actor=SYSTEM)

    with pytest.raises(Missing):
        invitations.look(first)
    assert invitations.look(second).email == "New@example.net"


# --- The link ----------------------------------------------------------------------------------------------


def test_a_link_is_found_before_a_tenant_is_in_scope(tenant):
    _, token = invitations.invite("new@example.net", "operator", tenant.pk, actor=SYSTEM)

    with isolation.nothing():
        assert not Invitation.objects.exists()
        found = invitations.look(token)
        assert (found.email, found.role, found.tenant) == ("new@example.net", "operator", tenant)


def test_a_new_person_gets_account_and_role_and_no_second_factor_that_others_know(tenant):
    _, token = invitations.invite("new@example.net", "operator", tenant.pk, actor=SYSTEM)

    with isolation.nothing(), capture_logs() as logs:
        accepted = invitations.accept(token, PASSWORD, actor=ANONYMOUS)

    user = User.objects.get(email="new@example.net")
    assert (user.is_staff, user.is_superuser, user.check_password(PASSWORD)) == (True, False, True)
    assert (accepted, user.one_time_until, factors.is_set_up(user)) == (user, None, False)
    held = Membership.objects.get(user=user)
    assert (held.role, held.tenant) == ("operator", tenant)
    assert [line["event"] for line in logs] == ["user.created", "membership.granted", "invitation.accepted"]
    assert not [line for line in logs if token in str(line) or PASSWORD in str(line) or user.email in str(line)]


def test_a_link_works_once(tenant):
    _, token = invitations.invite("new@example.net", "operator", tenant.pk, actor=SYSTEM)
    invitations.accept(token, PASSWORD, actor=ANONYMOUS)

    with pytest.raises(Missing):
        invitations.accept(token, PASSWORD, actor=ANONYMOUS)

    assert User.objects.count() == 1


@pytest.mark.parametrize("password", ["", "short", "password123", "new@example.net"])
def test_a_weak_password_is_refused_and_the_link_stays(tenant, password):
    _, token = invitations.invite("new@example.net", "operator", tenant.pk, actor=SYSTEM)

    with pytest.raises(BadInput) as caught:
        invitations.accept(token, password, actor=ANONYMOUS)

    assert caught.value.details["field"] == "password"
    assert not User.objects.exists()
    assert invitations.look(token)


def test_a_link_ends_after_seven_days(tenant):
    _, token = invitations.invite("new@example.net", "operator", tenant.pk, actor=SYSTEM)
    Invitation.objects.update(expires_at=now() - timedelta(seconds=1))

    with pytest.raises(Missing):
        invitations.accept(token, PASSWORD, actor=ANONYMOUS)

    assert not User.objects.exists()


def test_a_link_lives_no_longer_than_the_membership(tenant):
    week, soon = now() + timedelta(days=7), now() + timedelta(hours=3)

    long, _ = invitations.invite("a@example.net", "operator", tenant.pk, actor=SYSTEM)
    brief, _ = invitations.invite("b@example.net", "operator", tenant.pk, actor=SYSTEM, expires_at=soon)

    assert abs(long.expires_at - week) < timedelta(minutes=1)
    assert (brief.expires_at, brief.membership_expires_at) == (soon, soon)


def test_a_revoked_link_works_no_more(tenant, actor_as):
    made, token = invitations.invite("new@example.net", "operator", tenant.pk, actor=SYSTEM)

    with capture_logs() as logs:
        invitations.revoke(made, actor=actor_as("ops_manager", tenant))

    assert "invitation.revoked" in [line["event"] for line in logs]
    with pytest.raises(Missing):
        invitations.accept(token, PASSWORD, actor=ANONYMOUS)
    with pytest.raises(InvalidMove):
        invitations.revoke(made, actor=SYSTEM)


@pytest.mark.parametrize("role", ["operator", "analyst", "nobody"])
def test_who_may_not_give_a_role_may_not_take_its_invitation_back(tenant, actor_as, role):
    made, token = invitations.invite("new@example.net", "operator", tenant.pk, actor=SYSTEM)

    with pytest.raises(NotAllowed):
        invitations.revoke(made, actor=actor_as(role, tenant))

    assert invitations.look(token)


def test_a_person_with_an_account_accepts_only_signed_in_by_that_address(tenant, actor_as):
    person, stranger = factories.user("known@example.net", is_staff=True), actor_as("nobody")
    _, token = invitations.invite("Known@Example.net", "operator", tenant.pk, actor=SYSTEM)

    for actor in (ANONYMOUS, stranger):
        with pytest.raises(NotAllowed, match="sign in by that address"):
            invitations.accept(token, PASSWORD, actor=actor)
    assert not Membership.objects.exists()
    assert not User.objects.get(pk=person.pk).check_password(PASSWORD)

    assert invitations.accept(token, actor=actors.of_user(person)) == person

    assert Membership.objects.get().user == person


def test_somebody_signed_in_makes_no_account_for_another_address(tenant, actor_as):
    _, token = invitations.invite("new@example.net", "operator", tenant.pk, actor=SYSTEM)

    with pytest.raises(NotAllowed):
        invitations.accept(token, PASSWORD, actor=actor_as("operator", tenant))

    assert not User.objects.filter(email="new@example.net").exists()


def test_an_invitation_of_somebody_who_lost_the_right_is_worth_nothing(tenant, actor_as):
    manager = actor_as("ops_manager", tenant)
    _, token = invitations.invite("new@example.net", "operator", tenant.pk, actor=manager)
    members.end(Membership.objects.get(user=manager.user_id), actor=SYSTEM)

    with pytest.raises(Missing):
        invitations.accept(token, PASSWORD, actor=ANONYMOUS)

    assert not User.objects.filter(email="new@example.net").exists()


def test_nobody_is_asked_for_what_they_have(tenant):
    person = factories.user("known@example.net")
    members.grant(person, "operator", tenant.pk, actor=SYSTEM)

    with pytest.raises(BadInput, match="already"):
        invitations.invite("known@example.net", "operator", tenant.pk, actor=SYSTEM)


# --- Memberships end ---------------------------------------------------------------------------------------


def test_what_ran_out_gives_nothing_and_is_in_nobodys_way(tenant):
    person = factories.user()
    members.grant(person, "operator", tenant.pk, actor=SYSTEM, expires_at=now() + timedelta(hours=1))
    assert actors.of_user(person).can("campaigns.start", tenant.pk)
    Membership.objects.update(expires_at=now() - timedelta(seconds=1))
    assert not actors.of_user(person).can("campaigns.start", tenant.pk)

    members.grant(person, "operator", tenant.pk, actor=SYSTEM)

    assert actors.of_user(person).can("campaigns.start", tenant.pk)
    assert [row.ended_at is None for row in Membership.objects.order_by("pk")] == [False, True]


def test_nobody_grants_a_role_to_themselves(tenant, actor_as):
    superuser = actor_as("superuser")

    with pytest.raises(NotAllowed, match="to yourself"):
        members.grant(user_of(superuser), "operator", tenant.pk, actor=superuser)

    assert not Membership.objects.exists()


def test_who_has_no_right_everywhere_learns_of_no_other_tenant(tenant, other, actor_as):
    manager = actor_as("ops_manager", tenant)

    assert members.place_of("acme", actor=manager) == tenant.pk
    sentences = set()
    for slug in ("other", "nothing"):
        with pytest.raises(Missing) as caught:
            members.place_of(slug, actor=manager)
        sentences.add(str(caught.value).replace(slug, "X"))
    assert len(sentences) == 1
    assert members.place_of("other", actor=actor_as("superuser")) == other.pk


def test_the_function_behind_the_link_tells_nothing_else(tenant):
    made, _ = invitations.invite("new@example.net", "operator", tenant.pk, actor=SYSTEM)

    with isolation.nothing(), connection.cursor() as cursor:
        cursor.execute("SELECT id, tenant_id FROM app_invitation_of_token(%s)", [hashlib.sha256(b"guess").digest()])
        assert cursor.fetchall() == []
        cursor.execute("SELECT id, tenant_id FROM app_invitation_of_token(%s)", [bytes(made.token_hash)])
        assert cursor.fetchall() == [(made.pk, tenant.pk)]
