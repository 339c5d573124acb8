"""A paid verifier, played by a web server on loopback: what it is asked, what it may change, and where it ends."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from campaigns.models import Contact, Suppression
from campaigns.services import suppression
from deliverability.models import VerifierUse
from deliverability.services import verifying
from deliverability.verifiers import web
from deliverability.verifiers.base import Opinion, VerifierError, sound
from deliverability.verifiers.json_api import JsonApi
from outreach import cron
from outreach.common.errors import BadInput, NotAllowed
from tenants import permissions
from tenants.models import AuditEntry, Tenant
from tenants.services.actors import SYSTEM, Actor
from tests import factories

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


class Service:
    """Answers each POST by `answer(emails) -> (status, bytes or object)` and keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []
        self.keys: list[str] = []
        self.answer: Callable[[list[str]], tuple[int, Any]] = lambda emails: (200, results(emails, "deliverable"))
        service = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                service.asked.append(body["emails"])
                service.keys.append(self.headers["Authorization"])
                status, found = service.answer(body["emails"])
                self.send_response(status)
                data = found if isinstance(found, bytes) else json.dumps(found).encode()
                if status == 302:
                    self.send_header("Location", "/elsewhere")
                self.end_headers()
                if found is DRIP:
                    service.drip(self.wfile)
                else:
                    self.wfile.write(data)

            def log_message(self, *args: Any) -> None:
                """Nothing on the terminal."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.stopping = threading.Event()
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}/v1/verify"

    def drip(self, file: Any) -> None:
        """A byte now and then, for as long as somebody listens."""
        while not self.stopping.is_set():
            try:
                file.write(b" ")
                file.flush()
            except OSError:
                return
            self.stopping.wait(0.05)

    def stop(self) -> None:
        self.stopping.set()
        self.server.shutdown()
        self.server.server_close()


DRIP = b"drip"


def results(emails: list[str], status: str, reason: str = "") -> dict[str, Any]:
    return {"results": [{"email": email, "status": status, "reason": reason} for email in emails]}


@pytest.fixture
def service() -> Iterator[Service]:
    running = Service()
    yield running
    running.stop()


@pytest.fixture
def tenant(db, service, settings) -> Tenant:
    """A tenant whose addresses may be handed over, with the verifier of the settings."""
    made = factories.tenant()
    settings.VERIFIER = "deliverability.verifiers.json_api.JsonApi"
    settings.VERIFIER_URL, settings.VERIFIER_KEY = service.url, "secret-key"
    settings.VERIFIER_TENANTS, settings.VERIFIER_PRICE = [made.slug], "0.004 EUR"
    settings.SMTP_ALLOW_LOOPBACK = True
    return made


def people(tenant: Tenant, **verdicts: tuple[str, str]) -> None:
    names = list(verdicts)
    factories.people(
        tenant, None, len(names),
        each=lambda i: {
            "email": f"{names[i]}@firm.example", "validity": verdicts[names[i]][0],
            "validity_reason": verdicts[names[i]][1], "validated_at": NOW - timedelta(days=1),
        },
    )  # fmt: skip


def verdicts() -> dict[str, tuple[str, str]]:
    rows = Contact.objects.values_list("email_key", "validity", "validity_reason")
    return {email.partition("@")[0]: (verdict, reason) for email, verdict, reason in rows}


def ask(tenant: Tenant, now: datetime = NOW) -> verifying.Result:
    return verifying.run(tenant, actor=SYSTEM, now=now)


# --- what it may change ----------------------------------------------------------------------------------------


@pytest.mark.as_worker
def test_only_what_is_risky_or_unknown_is_asked_about_and_changed(tenant, service):
    people(tenant, ann=("valid", ""), bob=("risky", "role"), cleo=("unknown", "dns_unknown"),
           dan=("invalid", "no_mx"), eve=("", ""), fay=("risky", "implicit_mx"))  # fmt: skip
    said = {"bob": "deliverable", "cleo": "undeliverable", "fay": "accept_all"}
    service.answer = lambda emails: (
        200,
        {"results": [{"email": each, "status": said[each.partition("@")[0]], "reason": "Low Deliverability!"}
                     for each in emails]},
    )  # fmt: skip

    assert ask(tenant) == verifying.Result(asked=3, answered=3, valid=1, invalid=1)

    assert verdicts() == {
        "ann": ("valid", ""),
        "bob": ("valid", "verifier_low_deliverabil"),
        "cleo": ("invalid", "verifier_low_deliverabil"),
        "dan": ("invalid", "no_mx"),
        "eve": ("", ""),
        "fay": ("risky", "verifier_unsure"),
    }
    assert service.asked == [["bob@firm.example", "cleo@firm.example", "fay@firm.example"]]
    assert service.keys == ["Bearer secret-key"]
    assert ask(tenant) == verifying.Result()  # nobody is asked about twice
    assert AuditEntry.objects.filter(action="contacts.verified", tenant=tenant).count() == 1


@pytest.mark.as_worker
def test_a_suppression_stays_whatever_a_verifier_says(tenant):
    people(tenant, bob=("unknown", "dns_unknown"))
    suppression.suppress(tenant, ["bob@firm.example"], actor=SYSTEM, reason="hard_bounce", via="test")
    before = list(Suppression.objects.values())

    assert ask(tenant).valid == 1

    assert list(Suppression.objects.values()) == before
    assert Suppression.objects.get().lifted_at is None


# --- off, and limits -------------------------------------------------------------------------------------------


@pytest.mark.as_worker
def test_it_is_off_unless_set_and_never_gets_addresses_of_tenants_that_are_not_named(tenant, service, settings):
    other = factories.tenant()
    people(other, bob=("risky", "role"))
    people(tenant, ann=("risky", "role"))

    assert ask(other) == verifying.Result()
    settings.VERIFIER = ""
    assert ask(tenant) == verifying.Result()

    assert service.asked == []
    assert cron.revalidate_contacts() == 0  # neither of them sends


@pytest.mark.as_worker
def test_the_day_has_a_limit_of_addresses(tenant, service, settings):
    settings.VERIFIER_PER_DAY = 3
    people(tenant, **{f"p{n}": ("risky", "role") for n in range(5)})

    assert ask(tenant).asked == 3
    assert ask(tenant).asked == 0
    assert ask(tenant, NOW + timedelta(days=1)).asked == 2

    uses = VerifierUse.objects.order_by("day").values_list("day", "asked", "answered", "cost", "currency")
    assert list(uses) == [
        (NOW.date(), 3, 3, Decimal("0.0120"), "EUR"),
        (NOW.date() + timedelta(days=1), 2, 2, Decimal("0.0080"), "EUR"),
    ]


@pytest.mark.as_worker
def test_the_day_has_a_limit_of_cost(tenant, settings):
    settings.VERIFIER_PRICE, settings.VERIFIER_COST_PER_DAY = "0.4 EUR", 1
    people(tenant, **{f"p{n}": ("risky", "role") for n in range(5)})

    assert ask(tenant).asked == 2

    assert VerifierUse.objects.get().cost == Decimal("0.8000")


@pytest.mark.as_worker
@pytest.mark.parametrize("price", ["free", "0.004", "-1 EUR", "NaN EUR", "0.004 EURO"])
def test_a_price_that_is_none_asks_nothing(tenant, service, settings, price):
    settings.VERIFIER_PRICE = price
    people(tenant, ann=("risky", "role"))

    with pytest.raises(BadInput):
        ask(tenant)

    assert service.asked == []


@pytest.mark.as_worker
@pytest.mark.parametrize("path", ["nowhere.at.All", "deliverability.verifiers.json_api.STATUSES", "x"])
def test_a_path_that_leads_to_no_verifier_is_refused(tenant, settings, path):
    settings.VERIFIER = path
    with pytest.raises(BadInput):
        ask(tenant)


@pytest.mark.as_worker
def test_analysts_may_not_spend(tenant, service):
    people(tenant, ann=("risky", "role"))
    with pytest.raises(NotAllowed):
        verifying.run(tenant, actor=Actor("user", "analyst", everywhere=permissions.ROLES["analyst"]), now=NOW)
    assert (service.asked, VerifierUse.objects.count()) == ([], 0)


@pytest.mark.as_worker
@pytest.mark.parametrize(
    ("answer", "code"),
    [
        ((500, {"results": []}), "refused"),
        ((429, {}), "limited"),
        ((302, {}), "refused"),
        ((200, b"<html>"), "nonsense"),
        ((200, []), "nonsense"),
        ((200, {"results": "all fine"}), "nonsense"),
        ((200, b"[" * 100_000), "nonsense"),
    ],
)
def test_trouble_changes_nothing_and_ends_the_run(tenant, service, answer, code):
    service.answer = lambda emails: answer
    people(tenant, ann=("risky", "role"))

    assert ask(tenant) == verifying.Result(asked=1, trouble=code)

    assert verdicts() == {"ann": ("risky", "role")}
    assert len(service.asked) == 1
    assert (VerifierUse.objects.get().asked, VerifierUse.objects.get().answered) == (1, 0)


# --- the way to it ---------------------------------------------------------------------------------------------


def test_an_answer_without_end_ends_at_the_time_out(service):
    service.answer = lambda emails: (200, DRIP)
    began = time.monotonic()

    with pytest.raises(VerifierError) as caught:
        JsonApi(service.url, "key", allow_loopback=True).verify(["ann@firm.example"], seconds=0.5)

    assert caught.value.code == "timeout"
    assert time.monotonic() - began < 30  # the drip would go on for ever


def test_an_answer_is_read_up_to_its_limit_only(service):
    service.answer = lambda emails: (200, b" " * 5000)
    with pytest.raises(VerifierError) as caught:
        web.post(service.url, {"emails": []}, headers={}, seconds=5, allow_loopback=True, most_bytes=1000)
    assert (caught.value.code, str(caught.value)) == ("nonsense", "The answer of 127.0.0.1 has more than 1,000 bytes.")


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/x", "https://127.0.0.1/x", "https://10.0.0.1/", "ftp://a/", "x"])
def test_only_public_addresses_are_asked_and_by_https_only(url):
    with pytest.raises(VerifierError) as caught:
        web.post(url, {}, headers={}, seconds=1)
    assert caught.value.code in ("refused", "unreachable")


def test_what_does_not_answer_a_question_is_dropped(service):
    service.answer = lambda emails: (
        200,
        {"results": [
            "deliverable", None, {"email": 7, "status": "ok"}, {"email": "ann@firm.example", "status": "splendid"},
            {"email": "stranger@firm.example", "status": "ok"}, {"email": "bob@firm.example", "status": "OK"},
            {"email": "bob@firm.example", "status": "invalid"},
        ]},
    )  # fmt: skip
    asked = ["ann@firm.example", "bob@firm.example"]

    opinions = JsonApi(service.url, "key", allow_loopback=True).verify(asked, seconds=5)

    assert sound(opinions, asked) == {"bob@firm.example": Opinion("bob@firm.example", "valid")}


@pytest.mark.parametrize("reason", ["mailbox_full", "Mailbox Full!", "мінус", "x" * 80, "_-_"])
def test_reasons_are_in_our_alphabet_and_fit_their_column(reason):
    found = sound([Opinion("a@b.example", "invalid", reason)], ["a@b.example"])["a@b.example"]
    assert set(found.reason) <= set("abcdefghijklmnopqrstuvwxyz0123456789_")
    assert len(f"verifier_{found.reason}") <= Contact._meta.get_field("validity_reason").max_length
