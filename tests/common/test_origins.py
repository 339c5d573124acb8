"""Only our own proxies say where a request comes from."""

from __future__ import annotations

import pytest
from django.test import Client, RequestFactory

from outreach.common.origins import TrustedProxies, address_of, place_of

OURS = ["10.0.0.0/8", "2001:db8:1::/48"]


@pytest.mark.attack("A32")
@pytest.mark.parametrize(
    ("peer", "said", "address"),
    [
        ("203.0.113.5", "1.2.3.4", "203.0.113.5"),  # no proxy of ours
        ("10.0.0.1", "192.0.2.1, 198.51.100.7", "198.51.100.7"),
        ("10.0.0.1", "1.2.3.4, 198.51.100.7, 10.0.0.2", "198.51.100.7"),  # two of ours, one behind the other
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", "198.51.100.7, rubbish", "10.0.0.1"),
        ("10.0.0.1", "10.0.0.3, 10.0.0.2", "10.0.0.3"),
        ("2001:db8:1::1", "2001:db8:9::5", "2001:db8:9::5"),
        ("::ffff:10.0.0.1", "198.51.100.7", "198.51.100.7"),
        ("", "198.51.100.7", "198.51.100.7"),  # a unix socket
    ],
)
def test_the_last_address_that_is_not_ours_counts(peer, said, address, settings):
    settings.TRUSTED_PROXIES = OURS

    assert address_of({"REMOTE_ADDR": peer, "HTTP_X_FORWARDED_FOR": said}) == address


def test_without_a_proxy_nothing_but_the_peer_counts(settings):
    settings.TRUSTED_PROXIES = []

    assert address_of({"REMOTE_ADDR": "10.0.0.1", "HTTP_X_FORWARDED_FOR": "192.0.2.1"}) == "10.0.0.1"
    assert address_of({"REMOTE_ADDR": "", "HTTP_X_FORWARDED_FOR": "192.0.2.1"}) == ""


@pytest.mark.attack("A32")
@pytest.mark.parametrize(("peer", "secure"), [("10.0.0.1", True), ("203.0.113.5", False)])
def test_only_our_proxy_says_that_it_was_https(peer, secure, settings):
    settings.TRUSTED_PROXIES, settings.SECURE_PROXY_SSL_HEADER = OURS, ("HTTP_X_FORWARDED_PROTO", "https")
    request = RequestFactory().get("/", REMOTE_ADDR=peer, HTTP_X_FORWARDED_PROTO="https")

    assert TrustedProxies(lambda seen: seen.is_secure())(request) is secure


@pytest.mark.parametrize(
    ("peer", "place"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8:0:1:2::9", "2001:db8:0:1::"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("", None),
    ],
)
def test_a_place_is_an_address_or_what_one_customer_gets(peer, place, settings):
    settings.TRUSTED_PROXIES = []

    assert place_of(RequestFactory().get("/", REMOTE_ADDR=peer)) == place


@pytest.mark.attack("A32")
@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/console/login/", "/u/x", "/console/invitation/x/", "/api/v1/campaigns/"])
def test_another_host_is_refused(path):
    assert Client().get(path, headers={"Host": "evil.example"}).status_code == 400
