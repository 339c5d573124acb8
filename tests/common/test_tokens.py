"""Unsubscribe tokens: one spelling each, no forgery, old keys still verify (A17)."""

import base64
import random
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outreach.common import tokens
from outreach.common.sealing import Keyring
from outreach.common.tokens import BadToken

OLD = "o:" + base64.b64encode(b"o" * 32).decode()
NEW = "n1:" + base64.b64encode(b"n" * 32).decode()
RING = Keyring.parse(NEW)
ids = st.integers(min_value=0, max_value=2**63 - 1)


@given(ids, ids)
def test_a_token_gives_back_tenant_and_message_and_is_url_safe(tenant_id, message_pk):
    token = tokens.sign(RING, tenant_id, message_pk)

    assert tokens.read(RING, token) == (tenant_id, message_pk)
    assert set(token) <= set(string.ascii_letters + string.digits + "-_")
    assert len(token) <= tokens.MAX_CHARS


@pytest.mark.attack("A17")
@pytest.mark.parametrize("key_id", ["k", "k1", "key"])  # the three lengths of the last base64 group
def test_no_changed_added_or_missing_character_verifies(key_id):
    ring = Keyring.parse(f"{key_id}:" + base64.b64encode(b"n" * 32).decode())
    token = tokens.sign(ring, 3, 12345)
    alphabet = string.ascii_letters + string.digits + "-_+/=. \n%é"

    for place in range(len(token)):
        for character in alphabet:
            if character != token[place]:
                with pytest.raises(BadToken):
                    tokens.read(ring, token[:place] + character + token[place + 1 :])
        with pytest.raises(BadToken):
            tokens.read(ring, token[:place] + token[place + 1 :])
    for other in (token + "=", token + "A", "A" + token, token + "\n", f" {token}", "", token * 3, token[::-1]):
        with pytest.raises(BadToken):
            tokens.read(ring, other)


@pytest.mark.attack("A17")
def test_an_old_key_verifies_as_long_as_it_is_listed():
    token = tokens.sign(Keyring.parse(OLD), 3, 9)

    assert tokens.read(Keyring.parse(f"{NEW},{OLD}"), token) == (3, 9)
    with pytest.raises(BadToken):
        tokens.read(RING, token)


@pytest.mark.attack("A17")
def test_ten_thousand_guesses_find_nothing():
    chance = random.Random(17)
    valid = base64.urlsafe_b64decode(tokens.sign(RING, 3, 9) + "==")

    for _ in range(10_000):
        guess = valid[:-16] + chance.randbytes(16)
        with pytest.raises(BadToken):
            tokens.read(RING, base64.urlsafe_b64encode(guess).rstrip(b"=").decode())


def test_the_refusal_says_the_same_for_every_cause():
    causes = ["", "x", tokens.sign(Keyring.parse(OLD), 1, 1), tokens.sign(RING, 1, 1)[:-1], "é" * 10]
    said = set()
    for text in causes:
        with pytest.raises(BadToken) as caught:
            tokens.read(RING, text)
        said.add(str(caught.value))

    assert len(said) == 1
