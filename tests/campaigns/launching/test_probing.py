"""Links and the unsubscribe button are really asked, over HTTP, and nobody is unsubscribed by it."""

from __future__ import annotations

import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from django.conf import settings as django_settings
from django.core.cache import caches
from django.test import Client

from campaigns.findings import Level
from campaigns.models import Campaign, Suppression
from campaigns.pipeline.preflight import asking, probing
from campaigns.services import campaigns, preflighting
from outreach.common import tokens
from outreach.common.errors import NotReady
from outreach.common.sealing import Keyring
from outreach.common.tokens import BadToken
from tenants.services.actors import SYSTEM
from tests import factories

pytestmark = pytest.mark.django_db
ONE_CLICK = "List-Unsubscribe=One-Click"
FORM = "application/x-www-form-urlencoded"


class Pages(BaseHTTPRequestHandler):
    """/here answers, /gone is gone, /moved leads to /here, /round leads to itself; POST /u/... is the console's."""

    def do_HEAD(self):  # noqa: N802
        moved = {"/moved": "/here", "/round": "/round", "/away": "http://10.0.0.1/"}.get(self.path)
        status = (
            302 if moved else {"/here": 200, "/%D0%B0?q=%C3%BC": 200, "/gone": 404, "/broken": 503}.get(self.path, 404)
        )
        self.send_response(status)
        if moved:
            self.send_header("Location", moved)
        self.end_headers()

    def do_POST(self):  # noqa: N802
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.posts.append((self.path, body.decode()))
        answer = self.server.answer(self.path, body.decode())
        self.send_response(200)
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        pass


def console(path: str, body: str) -> bytes:
    """What the console answers to that press, from its own key alone: this thread has no database."""
    return (tokens.answer_to_trial(keys(), path.removeprefix("/u/"), int(time.time())) + "\n").encode()


def keys() -> Keyring:
    return Keyring.parse(django_settings.TOKEN_KEYS)


@pytest.fixture
def web(settings):
    server = ThreadingHTTPServer(("127.0.0.1", 0), Pages)
    server.posts, server.answer = [], console
    threading.Thread(target=server.serve_forever, daemon=True).start()
    settings.INSECURE_HTTP = True
    settings.PUBLIC_URL = server.base = f"http://localhost:{server.server_port}"
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def campaign():
    tenant = factories.tenant()
    pool = factories.pool(tenant)
    factories.fleet(tenant, 2, pool=pool)
    listed = factories.contact_list(tenant)
    factories.people(tenant, listed, 5)
    return factories.campaign(tenant, pool, listed)


def found(campaign: Campaign, *levels: Level) -> list[str]:
    report = preflighting.look(Campaign.objects.select_related("tenant", "pool", "contact_list").get(pk=campaign.pk))
    return [each.code.split(":")[0] for each in report.findings if each.check == "probes" and each.level in levels]


def test_what_answers_is_told_and_lets_it_start(web, campaign):
    text = f"{web.base}/here and {web.base}/moved, {web.base}/\u0430?q=\u00fc"
    campaign.steps.update(text_body=text, html_body="")
    assert found(campaign, Level.NOTE) == ["not_probed"]

    probing.probe(campaign, actor=SYSTEM)

    assert found(campaign, *Level) == ["links_answered", "button_answers"]
    assert [body for _path, body in web.posts] == [ONE_CLICK]
    assert Suppression.objects.count() == 0
    assert campaigns.start(campaign, actor=SYSTEM).status == "running"


@pytest.mark.parametrize(
    ("path", "code", "level"),
    [("/gone", "dead_link", Level.ERROR), ("/broken", "silent_link", Level.WARNING),
     ("/round", "silent_link", Level.WARNING), ("/away", "silent_link", Level.WARNING)],
)  # fmt: skip
def test_a_link_that_leads_nowhere_is_said(web, campaign, path, code, level):
    campaign.steps.update(text_body=web.base + path, html_body="")

    probing.probe(campaign, actor=SYSTEM)

    assert found(campaign, level) == [code]


def test_a_button_that_answers_something_else_blocks_the_start(web, campaign):
    web.answer = lambda path, body: b"Welcome to this parked domain"

    probing.probe(campaign, actor=SYSTEM)

    assert found(campaign, Level.ERROR) == ["button_broken"]
    with pytest.raises(NotReady):
        campaigns.start(Campaign.objects.get(pk=campaign.pk), actor=SYSTEM)


def test_other_links_want_to_be_asked_anew(web, campaign):
    probing.probe(campaign, actor=SYSTEM)
    campaign.steps.update(text_body=f"{web.base}/gone", html_body="")

    assert found(campaign, *Level) == ["not_probed"]


def test_loopback_and_private_hosts_are_not_dialled_in_production(web):
    answer = asking.ask(f"{web.base}/here")

    assert (answer.status, answer.is_refused) == (0, True)
    assert asking.ask("http://10.0.0.1/", allow_loopback=True).is_refused


# --- the token that stands for nobody ------------------------------------------------------------------------


@pytest.fixture
def stranger(running_servers):
    caches["counters"].clear()
    return Client(enforce_csrf_checks=True)


def test_the_console_answers_our_own_press_and_changes_nothing(stranger):
    token = tokens.sign_trial(keys(), 7, int(time.time()))

    answer = stranger.post(f"/u/{token}", ONE_CLICK, content_type=FORM)

    assert answer.status_code == 200
    assert answer.content.decode().strip() == tokens.answer_to_trial(keys(), token, int(time.time()))
    assert Suppression.objects.count() == 0
    assert stranger.get(f"/u/{token}").status_code == 400


def test_a_trial_is_no_recipients_token_and_the_other_way_round():
    at = int(time.time())
    trial, real = tokens.sign_trial(keys(), 7, at), tokens.sign(keys(), 1, at)

    with pytest.raises(BadToken):
        tokens.read(keys(), trial)
    with pytest.raises(BadToken):
        tokens.answer_to_trial(keys(), real, at)


@pytest.mark.parametrize("age", [601, -61])
def test_a_trial_holds_for_minutes(age):
    at = int(time.time())

    with pytest.raises(BadToken):
        tokens.answer_to_trial(keys(), tokens.sign_trial(keys(), 7, at - age), at)
