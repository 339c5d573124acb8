"""Headers and cookies: nothing framed, nothing kept, nothing loaded from elsewhere, nothing sent in clear."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings as django_settings
from django.test import Client

from tests.console.conftest import code_of
from tests.console.test_signing_in import sign_in

ROOT = Path(__file__).resolve().parent.parent.parent


def test_every_page_of_the_console_says_what_browsers_may_do(as_chief):
    answer = as_chief.get("/console/")

    policy = dict(part.strip().partition(" ")[::2] for part in answer["Content-Security-Policy"].split(";"))
    assert (policy["default-src"], policy["script-src"], policy["style-src"]) == ("'none'", "'self'", "'self'")
    assert (policy["frame-ancestors"], policy["base-uri"], policy["object-src"]) == ("'none'", "'none'", "'none'")
    assert "unsafe" not in answer["Content-Security-Policy"]
    assert answer["X-Frame-Options"] == "DENY"
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["Cross-Origin-Opener-Policy"] == "same-origin"
    assert answer["Cross-Origin-Resource-Policy"] == "same-origin"
    assert answer["Referrer-Policy"] == "same-origin"


@pytest.mark.parametrize("page", ["", "login/", "account/", "campaigns/contact/", "second-factor/"])
def test_no_page_of_the_console_is_kept(page, as_chief):
    assert "no-store" in as_chief.get(f"/console/{page}")["Cache-Control"]


@pytest.mark.attack("A31")
def test_no_script_and_no_other_site_gets_the_cookies(chief, client):
    client.get("/console/login/")
    sign_in(client, chief, code_of(chief))

    for name in (django_settings.SESSION_COOKIE_NAME, django_settings.CSRF_COOKIE_NAME):
        cookie = client.cookies[name]
        assert (cookie["httponly"], cookie["samesite"], cookie["path"], cookie["domain"]) == (True, "Lax", "/", "")


def production(*names: str, **values: str) -> list:
    """Settings as production reads them."""
    env = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ} | {
        "SECRET_KEY": "x" * 50, "ALLOWED_HOSTS": "console.example.com", "PUBLIC_URL": "https://console.example.com",
        "CREDENTIAL_KEYS": django_settings.CREDENTIAL_KEYS, "TOKEN_KEYS": django_settings.TOKEN_KEYS,
        "HASH_KEY": django_settings.HASH_KEY, "AUDIT_KEY": django_settings.AUDIT_KEY, "STATE_DIR": "/nonexistent",
        **values,
    }  # fmt: skip
    code = f"import json; from outreach import settings as s; print(json.dumps([getattr(s, n) for n in {names!r}]))"
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=env, capture_output=True, text=True, check=True)  # noqa: S603
    return json.loads(ran.stdout)


@pytest.mark.attack("A31")
def test_in_production_cookies_belong_to_this_host_and_go_by_https_only():
    assert production(
        "SESSION_COOKIE_NAME", "CSRF_COOKIE_NAME", "SESSION_COOKIE_SECURE", "CSRF_COOKIE_SECURE",
        "SECURE_SSL_REDIRECT", "SECURE_HSTS_SECONDS",
    ) == ["__Host-session", "__Host-csrf", True, True, True, 365 * 86400]  # fmt: skip


@pytest.mark.attack("A32")
def test_in_production_no_proxy_is_trusted_unless_it_is_named():
    names = ("TRUSTED_PROXIES", "SECURE_PROXY_SSL_HEADER")

    assert production(*names) == [[], None]
    assert production(*names, BEHIND_PROXY="1")[0] == ["127.0.0.0/8", "::1"]
    assert production(*names, TRUSTED_PROXIES="10.1.0.0/16")[0] == ["10.1.0.0/16"]


@pytest.mark.attack("A32")
@pytest.mark.django_db
def test_a_redirect_never_leads_to_a_host_that_the_request_made_up():
    for headers in ({"X-Forwarded-Host": "evil.example"}, {"Forwarded": "host=evil.example"}):
        answer = Client().get("/console/", headers=headers)
        assert answer["Location"].startswith("/console/login/")
        assert "evil" not in answer["Location"]


@pytest.mark.attack("A32")
def test_an_invitations_link_names_the_configured_host(as_chief, world, settings):
    settings.ALLOWED_HOSTS = ["*"]

    page = as_chief.post(
        "/console/tenants/invitation/add/",
        {"email": "new@example.net", "role": "operator", "tenant": world.tenant.slug},
        headers={"Host": "evil.example"},
    ).content.decode()

    assert f"{settings.PUBLIC_URL}/console/invitation/" in page
    assert "evil.example" not in page
