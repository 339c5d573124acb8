"""Keyed hashes: stable, told apart by kind, impossible without the key (A38)."""

import base64
import hashlib

import pytest

from outreach.common.errors import BadInput
from outreach.common.hashing import Hasher

HASHER = Hasher(b"h" * 32)


def test_the_hashes_never_change():
    """Stored suppressions and message ids rest on these values."""
    assert HASHER.address("ann@example.org").hex() == "edd39c81b9f75bc9dce5e2cefbf8baf4"
    assert HASHER.domain("example.org").hex() == "e0938aa81a53e53200f1a459b71a7cbe"
    assert HASHER.wildcard("example.org").hex() == "69a98358ac6905d1d9ca4c8c1eb8b436"
    assert HASHER.derive("message", 1, 2).hex() == "b52f573a9a7aa9dd7c74a7722f1f640053bb62dd7839cf651923837990362d72"


def test_kinds_and_keys_give_different_hashes():
    found = {HASHER.address("example.org"), HASHER.domain("example.org"), HASHER.wildcard("example.org")}
    found |= {Hasher(b"i" * 32).address("example.org"), HASHER.derive("example.org")[:16]}

    assert len(found) == 5
    assert {len(value) for value in found} == {16}
    assert len(HASHER.derive()) == 32


@pytest.mark.attack("A38")
def test_a_plain_hash_of_the_address_is_not_what_is_stored():
    assert HASHER.address("ann@example.org") not in hashlib.sha256(b"ann@example.org").digest()


@pytest.mark.parametrize(("one", "other"), [(("ab", "c"), ("a", "bc")), ((1, 23), (12, 3)), (("",), ())])
def test_derived_keys_keep_their_parts_apart(one, other):
    assert HASHER.derive(*one) != HASHER.derive(*other)


@pytest.mark.parametrize("text", ["", "AAAA", "%%", base64.b64encode(b"h" * 31).decode()])
def test_a_short_or_broken_key_is_refused(text):
    with pytest.raises(BadInput, match="HASH_KEY"):
        Hasher.parse(text)


def test_the_key_shows_in_no_repr():
    assert repr(HASHER) == "Hasher(...)"
