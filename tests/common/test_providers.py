"""Spellings of one person's address, where the provider is known to ignore the difference, and nowhere else."""

from __future__ import annotations

import pytest

from outreach.common import addresses, providers, public_suffixes


@pytest.mark.parametrize(
    ("text", "identity"),
    [
        ("J.Doe+fair@GoogleMail.com", "jdoe@gmail.com"),
        ("j.d.o.e@gmail.com", "jdoe@gmail.com"),
        ("jdoe@gmail.com", "jdoe@gmail.com"),
        ("jo.doe+x+y@outlook.com", "jo.doe@outlook.com"),
        ("jo+x@hotmail.co.uk", "jo@hotmail.co.uk"),
        ("jo+x@icloud.com", "jo@icloud.com"),
        ("jo+x@me.com", "jo@me.com"),
        ("jo+x@fastmail.fm", "jo@fastmail.fm"),
        ("jo.doe+x@proton.me", "jo.doe@proton.me"),
        ("jo.doe+x@acme.example", "jo.doe+x@acme.example"),  # at a company's own domain both count
        ("jo-x@yahoo.com", "jo-x@yahoo.com"),
        ("+fair@gmail.com", "+fair@gmail.com"),  # nothing would be left
        ("JÖRG.X+y@gmail.com", "jörgx@gmail.com"),
    ],
)
def test_an_identity_leaves_out_what_the_provider_ignores(text, identity):
    address = addresses.parse(text)

    assert address.identity == identity
    assert addresses.parse(identity).identity == identity
    assert address.key == text.lower()  # the spelling itself stays, as mailboxes and the wire need it


def test_every_domain_of_the_tables_is_in_the_form_in_which_domains_are_compared():
    listed = providers.free_mail()

    assert len(listed) > 350
    assert [name for name in listed if addresses.parse_domain(name) != name] == []
    assert {"gmail.com", "web.de", "mail.ru", "yahoo.co.jp"} <= listed
    assert "acme.example" not in listed


def test_free_mail_domains_are_looked_up_as_they_are_registered():
    below = {"i.softbank.jp", "poczta.onet.pl", "poczta.fm", "privaterelay.appleid.com", "internode.on.net"}
    odd = [name for name in providers.free_mail() if public_suffixes.organisational(name) != name]

    assert sorted(set(odd) - below) == []
