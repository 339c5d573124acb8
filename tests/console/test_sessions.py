"""Sessions end when they should, are listed to their person, and want a fresh code before dangerous acts."""

from __future__ import annotations

import time
from datetime import timedelta
from urllib.parse import urlencode

import pytest
from django.conf import settings
from django.contrib.sessions.models import Session
from django.test import Client
from django.urls import reverse
from django.utils.timezone import now
from structlog.testing import capture_logs

from tenants.models import ApiKey, AuditEntry, BreakGlass, Membership, SecondFactor, SignedIn, User
from tenants.models.sessions import key_hash
from tenants.services import actors, factors, members, sessions, users
from tenants.services.actors import SYSTEM
from tests import factories
from tests.console.conftest import PASSWORD, client_of, code_of, person
from tests.console.test_signing_in import is_in, sign_in

VERIFY = "/console/verify/"


def row_of(client: Client) -> SignedIn:
    return SignedIn.objects.get(key_hash=key_hash(client.session.session_key))


# --- What ends a session -----------------------------------------------------------------------------------------


def changes_password(user: User) -> None:
    users.change_password(user, "quite another password", actor=actors.oneself(user))


def is_shut_out_and_let_in(user: User) -> None:
    users.shut_out(user, actor=SYSTEM)
    users.let_in(user, actor=SYSTEM)


@pytest.mark.attack("A31")
@pytest.mark.parametrize(
    "event",
    [
        changes_password,
        is_shut_out_and_let_in,
        lambda user: users.shut_out(user, actor=SYSTEM),
        lambda user: users.new_password(user, actor=SYSTEM),
        lambda user: users.renew_second_factor(user, actor=SYSTEM),
        lambda user: factors.new_codes(user, actor=actors.oneself(user)),
        lambda user: members.grant(user, "auditor", None, actor=SYSTEM),
        lambda user: members.end(Membership.objects.get(user=user), actor=SYSTEM),
        lambda user: sessions.sign_out(user, actor=SYSTEM),
    ],
    ids=[
        "password", "shut out and let in", "shut out", "password by an admin", "second factor", "codes", "role",
        "end of a role", "signed out by an admin",
    ],
)  # fmt: skip
def test_what_changes_a_person_ends_every_session_of_theirs_and_no_others(event, chief, analyst):
    old, other, bystander = client_of(analyst), client_of(analyst), client_of(chief)
    assert is_in(old)

    event(analyst)

    assert not is_in(old)
    assert not is_in(other)
    assert is_in(bystander)
    assert not SignedIn.objects.open().filter(user=analyst).exists()


@pytest.mark.attack("A31")
@pytest.mark.parametrize(
    ("change", "goes_on"),
    [
        ({"seen_at": 3599}, True),
        ({"seen_at": 3600}, False),
        ({"seen_at": 0, "created_at": 12 * 3600 - 1}, True),
        ({"seen_at": 0, "created_at": 12 * 3600}, False),
    ],
)
def test_a_session_ends_after_an_hour_without_use_and_after_twelve_in_any_case(analyst, change, goes_on):
    client = client_of(analyst)
    at = now()
    SignedIn.objects.update(**{name: at - timedelta(seconds=seconds - goes_on) for name, seconds in change.items()})

    assert is_in(client) is goes_on


@pytest.mark.attack("A31")
def test_what_a_page_asks_for_by_itself_keeps_no_session_alive(analyst):
    client = client_of(analyst)
    before = now() - timedelta(minutes=30)
    SignedIn.objects.update(seen_at=before)

    for page in ("live/", "sent.json"):
        assert client.get(f"/console/{page}", headers={"HX-Request": "true"}).status_code == 200
    assert row_of(client).seen_at == before
    client.get("/console/roles/")

    assert row_of(client).seen_at > before


def test_use_is_written_once_a_minute(analyst):
    client = client_of(analyst)
    seen = now() - timedelta(seconds=50)
    SignedIn.objects.update(seen_at=seen)

    client.get("/console/")

    assert row_of(client).seen_at == seen


@pytest.mark.attack("A31")
def test_a_cookie_kept_after_signing_out_opens_nothing(analyst):
    client = client_of(analyst)
    cookie = client.cookies["sessionid"].value
    client.post("/console/logout/")

    thief = Client()
    thief.cookies["sessionid"] = cookie

    assert not is_in(thief)
    assert not SignedIn.objects.open().exists()


@pytest.mark.attack("A31")
def test_a_session_whose_row_is_gone_is_none(analyst):
    client = client_of(analyst)
    SignedIn.objects.all().delete()

    assert not is_in(client)


@pytest.mark.attack("A31")
def test_each_step_up_gives_the_session_a_new_key(chief, client):
    client.get("/console/login/")
    sign_in(client, chief, code_of(chief))
    keys = [client.session.session_key]
    SecondFactor.objects.update(last_step=-1)

    client.post(VERIFY, {"code": code_of(chief)})
    keys.append(client.session.session_key)
    client.post(
        "/console/password/",
        {"old_password": PASSWORD, "new_password1": "quite another one", "new_password2": "quite another one"},
    )
    keys.append(client.session.session_key)

    assert len(set(keys)) == 3
    assert is_in(client)
    old = Client()
    for key in keys[:2]:
        old.cookies["sessionid"] = key
        assert not is_in(old)


# --- The list ----------------------------------------------------------------------------------------------------


@pytest.mark.attack("A31")
def test_a_person_sees_and_ends_their_own_sessions_only(chief, analyst):
    client, other = Client(HTTP_USER_AGENT="Firefox/1 <b>", REMOTE_ADDR="192.0.2.7"), client_of(chief)
    sign_in(client, analyst, code_of(analyst))
    second = client_of(analyst)

    page = client.get("/console/account/").content.decode()
    assert "192.0.2.7" in page
    assert "Firefox/1 &lt;b&gt;" in page
    assert page.count("this one") == 1
    client.post(reverse("admin:end_session", args=[row_of(other).pk]))
    assert is_in(other)
    client.post(reverse("admin:end_session", args=[row_of(second).pk]))

    assert not is_in(second)
    assert is_in(client)


@pytest.mark.attack("A31")
def test_signing_out_everywhere_else_keeps_the_session_that_asks(analyst):
    client, *others = [client_of(analyst) for _ in range(3)]

    client.post("/console/account/sessions/end/")

    assert is_in(client)
    assert not any(is_in(other) for other in others)
    assert AuditEntry.objects.get(action="session.others_ended").facts == {"sessions": 2}


@pytest.mark.attack("A31")
def test_a_platform_admin_ends_anybodys_session_and_an_analyst_nobodys(chief, analyst):
    victim, client = client_of(chief), client_of(analyst)
    act = {"action": "end", "_selected_action": row_of(victim).pk, "index": "0"}

    assert client.post("/console/tenants/signedin/", act).status_code == 403
    assert is_in(victim)
    client_of(chief).post("/console/tenants/signedin/", act | {"_selected_action": row_of(client).pk})

    assert not is_in(client)


def test_rows_of_sessions_go_after_ninety_days(chief, analyst):
    client_of(chief)
    client_of(analyst)
    SignedIn.objects.update(seen_at=now() - timedelta(days=91))

    client_of(chief)

    assert SignedIn.objects.filter(user=chief).count() == 1
    assert SignedIn.objects.filter(user=analyst).count() == 1


def test_an_address_with_a_zone_signs_in_as_well(chief):
    client = Client(REMOTE_ADDR="fe80::1%eth0")

    sign_in(client, chief, code_of(chief))

    assert row_of(client).address == "fe80::1"


def test_no_key_of_a_session_stands_in_the_table_or_in_a_log(chief):
    client = Client()
    with capture_logs() as logs:
        sign_in(client, chief, code_of(chief))

    key = client.session.session_key
    assert key not in str(logs)
    assert key not in str(SignedIn.objects.values_list())
    assert "session.begun" in [line["event"] for line in logs]


# --- A code before dangerous acts --------------------------------------------------------------------------------

ADD_PAGES = ("tenants/user/add/", "tenants/membership/add/", "tenants/invitation/add/", "tenants/apikey/add/")


@pytest.mark.attack("A30")
@pytest.mark.parametrize("page", [*ADD_PAGES, "break-glass/", "password/"])
def test_a_dangerous_form_is_not_shown_without_a_fresh_code(page, world, chief):
    client = client_of(chief, verified_ago=601)

    for answer in (client.get(f"/console/{page}"), client.post(f"/console/{page}", {"email": "x@example.net"})):
        assert (answer.status_code, answer["Location"]) == (302, f"{VERIFY}?{urlencode({'next': f'/console/{page}'})}")
    assert not User.objects.filter(email="x@example.net").exists()
    assert ApiKey.objects.count() == BreakGlass.objects.count() == 1


@pytest.mark.attack("A30")
@pytest.mark.parametrize(
    ("page", "action"),
    [
        ("tenants/user/", "renew"),
        ("tenants/user/", "new_password"),
        ("campaigns/contact/", "export"),
        ("campaigns/suppression/", "export"),
        ("campaigns/campaign/", "export"),
    ],
)
def test_a_dangerous_act_is_not_done_without_a_fresh_code(page, action, world, chief, analyst):
    client = client_of(chief, verified_ago=601)
    before = analyst.password
    row = {"tenants/user/": analyst, "campaigns/campaign/": world.campaign}.get(page, world.people[0])

    answer = client.post(
        f"/console/{page}", {"action": action, "_selected_action": row.pk, "index": "0", "confirmed": "1"}
    )

    assert (answer.status_code, answer["Location"].split("?")[0]) == (302, VERIFY)
    analyst.refresh_from_db()
    assert analyst.password == before


def test_a_stop_wants_no_code(world, chief, analyst):
    client = client_of(chief, verified_ago=601)
    act = {"index": "0", "confirmed": "1", "reason": "because"}

    client.post("/console/campaigns/campaign/", {**act, "action": "pause", "_selected_action": world.campaign.pk})
    client.post("/console/tenants/user/", {**act, "action": "shut_out", "_selected_action": analyst.pk})

    world.campaign.refresh_from_db()
    analyst.refresh_from_db()
    assert (world.campaign.status, analyst.is_active) == ("paused", False)


def test_a_code_leads_on_to_where_the_person_was(chief):
    client = client_of(chief, verified_ago=601)
    page = client.get("/console/break-glass/", follow=True)

    answer = client.post(page.redirect_chain[-1][0], {"code": code_of(chief), "next": "/console/break-glass/"})

    assert (answer.status_code, answer["Location"]) == (302, "/console/break-glass/")
    assert client.get("/console/break-glass/").status_code == 200
    assert client.session["verified_at"] > time.time() - 60


@pytest.mark.attack("A30")
@pytest.mark.parametrize(
    "goal", ["//evil.example/x", "https://evil.example/", "javascript:alert(1)", "\\\\evil.example"]
)
def test_a_code_leads_to_no_other_place(chief, goal):
    client = client_of(chief, verified_ago=601)

    answer = client.post(VERIFY, {"code": code_of(chief), "next": goal})

    assert (answer.status_code, answer["Location"]) == (302, "/console/")


@pytest.mark.attack("A30")
def test_wrong_and_used_codes_lead_nowhere(chief):
    client = client_of(chief, verified_ago=601)
    used = code_of(chief)
    assert factors.verify(chief, used) is not None

    for code in (used, "000000", "", "abcde-fghij"):
        assert client.post(VERIFY, {"code": code, "next": "/console/break-glass/"}).status_code == 200

    assert client.get("/console/break-glass/").status_code == 302


def test_a_membership_in_ones_own_hands_ends_other_sessions_only(world, chief):
    from tenants.services import invitations

    person_ = person("guest@example.com")
    _, token = invitations.invite(person_.email, "operator", world.tenant.pk, actor=SYSTEM)
    client, other = client_of(person_), client_of(person_)

    client.post(reverse("admin:invitation", args=[token]))

    assert is_in(client)
    assert not is_in(other)
    assert factories.user().session_epoch == 0


def test_the_database_knows_no_session_key_that_would_open_one(chief):
    """What stands in the table, sent as a cookie, is no session."""
    client = client_of(chief)
    row = Session.objects.get()
    assert row.session_key != client.session.session_key

    thief = Client()
    thief.cookies[settings.SESSION_COOKIE_NAME] = row.session_key
    assert thief.get("/console/").status_code == 302
    assert client.get("/console/").status_code == 200
    client.logout()
    assert not Session.objects.exists()
