"""The pages that recipients see: opting out, by the mail program's button (RFC 8058) or by the link in the mail."""

from __future__ import annotations

import base64
import hashlib
import time
from functools import cache

import structlog
from django.conf import settings
from django.http import HttpRequest, HttpResponse, QueryDict
from django.http.multipartparser import MultiPartParserError
from django.template.loader import render_to_string
from django.utils.translation import gettext
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from campaigns.services import clicks, outcomes
from outreach.common import counting, isolation, origins, tokens
from outreach.common.sealing import Keyring
from outreach.common.tokens import BadToken
from tenants.services.actors import RECIPIENT

log = structlog.get_logger(__name__)

WRONG_TOKENS_PER_MINUTE = 30  # from one address
RIGHT_TOKENS_PER_MINUTE = 6000  # a mail provider presses the buttons of all its people from a few addresses
MULTIPART = "multipart/form-data"
STYLE = (
    "body{font:1rem/1.5 system-ui,sans-serif;max-width:32rem;margin:4rem auto;padding:0 1rem;color:#1f2933}"
    "h1{font-size:1.4rem}button{font:inherit;padding:.6rem 1.2rem;border:0;border-radius:.3rem;"
    "background:#1d4ed8;color:#fff;cursor:pointer}button:focus-visible{outline:3px solid #93c5fd}"
)
STYLE_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
HEADERS = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Robots-Tag": "noindex, nofollow",
    "Content-Security-Policy": (
        f"default-src 'none'; style-src 'sha256-{STYLE_HASH}'; form-action 'self'; base-uri 'none'; "
        "frame-ancestors 'none'"
    ),
}


@csrf_exempt  # the mail program that posts has no cookie of ours, and the token is the proof
@require_http_methods(["GET", "HEAD", "POST"])
def unsubscribe(request: HttpRequest, token: str) -> HttpResponse:
    """Opt the recipient of a message out of everything its tenant sends.

    A POST that says List-Unsubscribe=One-Click, or comes from the page's button, takes effect
    before the answer. Everything else changes nothing, since link scanners follow links: GET
    shows a page with a button. A token that is not ours tells nothing. No cookie, no sign-in,
    no redirect; safe to repeat.
    """
    try:
        tenant_id, message_pk = tokens.read(_keys(settings.TOKEN_KEYS), token)
    except BadToken:
        return _trial(request, token) or _refusal(request)
    if _count("unsubscribing", request) > RIGHT_TOKENS_PER_MINUTE:
        return _later(_page("campaigns/unsubscribe.html", status=429))
    if request.method != "POST":
        return _page("campaigns/unsubscribe.html")
    form = _form(request)
    one_click = form.get("List-Unsubscribe") == "One-Click"
    if not one_click and form.get("confirm") != "yes":
        return _page("campaigns/unsubscribe.html", status=400)
    # the same answer for a message whose row is gone: its recipient gets nothing more either way
    with isolation.tenants([tenant_id]):
        outcomes.unsubscribed(tenant_id, message_pk, actor=RECIPIENT, via="one-click" if one_click else "page")
    log.info("recipient.unsubscribed", tenant=tenant_id, message=message_pk, one_click=one_click)
    if one_click:
        return HttpResponse(gettext("You are unsubscribed.") + "\n", content_type="text/plain", headers=HEADERS)
    return _page("campaigns/unsubscribed.html")


@require_http_methods(["GET", "HEAD"])
def click(request: HttpRequest, token: str) -> HttpResponse:
    """Lead to where a link of a mail leads, and note it: to the address in the wording that was sent, to no other."""
    try:
        tenant_id, message_pk, number = tokens.read_click(_keys(settings.TOKEN_KEYS), token)
    except BadToken:
        if _count("unsubscribe", request) > WRONG_TOKENS_PER_MINUTE:
            return _later(nothing_here(request))
        return nothing_here(request)
    with isolation.tenants([tenant_id]):
        target = clicks.follow(tenant_id, message_pk, number)
    if target is None:
        return nothing_here(request)
    answer = HttpResponse(status=302, headers=HEADERS)
    answer.headers["Location"] = target
    return answer


def _trial(request: HttpRequest, token: str) -> HttpResponse | None:
    """Answer our own press of the button, which is nobody's and changes nothing; None: it is none of ours."""
    try:
        answer = tokens.answer_to_trial(_keys(settings.TOKEN_KEYS), token, int(time.time()))
    except BadToken:
        return None
    if request.method != "POST" or _form(request).get("List-Unsubscribe") != "One-Click":
        return None
    return HttpResponse(f"{answer}\n", content_type="text/plain", headers=HEADERS)


def nothing_here(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """The answer of a tracking host where recipients have no page: no word about whose it is."""
    return HttpResponse("There is nothing here.\n", content_type="text/plain", status=404, headers=HEADERS)


@cache
def _keys(text: str) -> Keyring:
    return Keyring.parse(text)


def _form(request: HttpRequest) -> QueryDict:
    """Return the fields of the body, also where the mail program names no content type or a wrong one."""
    body = request.body
    if request.content_type == MULTIPART:
        try:
            return request.POST
        except MultiPartParserError:
            pass
    # read without its charset, of which Django takes one alone: an opt-out is not lost over that
    return QueryDict(body[:1000])


def _refusal(request: HttpRequest) -> HttpResponse:
    """Return the neutral page, 429 for who tries many."""
    if _count("unsubscribe", request) > WRONG_TOKENS_PER_MINUTE:
        return _later(_page("campaigns/unsubscribe_invalid.html", status=429))
    return _page("campaigns/unsubscribe_invalid.html", status=400)


def _count(what: str, request: HttpRequest) -> int:
    return counting.count(f"{what}:{origins.place_of(request)}")


def _later(answer: HttpResponse) -> HttpResponse:
    answer.headers["Retry-After"] = str(counting.WINDOW_SECONDS)
    return answer


def _page(template: str, status: int = 200) -> HttpResponse:
    """Return a page without request context: no user, no session and no CSRF cookie are touched."""
    return HttpResponse(render_to_string(template, {"style": STYLE}), status=status, headers=HEADERS)
