"""Secrets open with a listed key and in their own place only (A34, A35)."""

import base64
import pickle

import pytest

from outreach.common.errors import BadInput
from outreach.common.sealing import Keyring, SealBroken, joined, parse_keys

OLD = "old:" + base64.b64encode(b"o" * 32).decode()
NEW = "new:" + base64.b64encode(b"n" * 32).decode()
PLACE = ("7", "mailboxes.Mailbox", "0b9c", "smtp_password")


@pytest.mark.parametrize("secret", [b"", b"s3cret", "пароль".encode(), bytes(range(256)) * 40])
def test_a_sealed_secret_opens_in_its_place(secret):
    ring = Keyring.parse(NEW)

    assert ring.open(ring.seal(secret, PLACE), PLACE) == secret


def test_the_same_secret_never_looks_the_same_and_never_shows():
    ring = Keyring.parse(NEW)
    first, second = ring.seal(b"s3cret", PLACE), ring.seal(b"s3cret", PLACE)

    assert first != second
    assert b"s3cret" not in first


@pytest.mark.attack("A35")
def test_after_a_rotation_the_newest_key_seals_and_the_old_one_still_opens():
    before = Keyring.parse(OLD)
    sealed = before.seal(b"s3cret", PLACE)
    after = Keyring.parse(f"{NEW},{OLD}")

    assert after.ids == ("new", "old")
    assert after.open(sealed, PLACE) == b"s3cret"
    assert not after.is_current(sealed)
    again = after.seal(after.open(sealed, PLACE), PLACE)
    assert after.is_current(again)
    assert Keyring.parse(NEW).open(again, PLACE) == b"s3cret"


@pytest.mark.attack("A35")
@pytest.mark.parametrize(
    "place",
    [
        ("8", *PLACE[1:]),
        ("7", "mailboxes.Mailbox", "0b9d", "smtp_password"),
        ("7", "mailboxes.Mailbox", "0b9c", "imap_password"),
        ("7mailboxes.Mailbox", "0b9c", "smtp_password"),
        ("7", "mailboxes.Mailbox", "0b9c", "smtp_passwor", "d"),
        (),
    ],
)
def test_a_secret_moved_to_another_tenant_row_or_field_stays_shut(place):
    ring = Keyring.parse(NEW)
    sealed = ring.seal(b"s3cret", PLACE)

    with pytest.raises(SealBroken):
        ring.open(sealed, place)


@pytest.mark.attack("A35")
def test_no_changed_byte_and_no_cut_opens():
    ring = Keyring.parse(NEW)
    sealed = ring.seal(b"s3cret", PLACE)

    for place in range(len(sealed)):
        changed = bytearray(sealed)
        changed[place] ^= 1
        with pytest.raises(SealBroken):
            ring.open(bytes(changed), PLACE)
        with pytest.raises(SealBroken):
            ring.open(sealed[:place], PLACE)
    with pytest.raises(SealBroken):
        ring.open(sealed + b"\x00", PLACE)


@pytest.mark.attack("A35")
def test_a_wrong_key_under_the_same_id_and_a_missing_key_are_told_apart():
    sealed = Keyring.parse(OLD).seal(b"s3cret", PLACE)
    impostor = "old:" + base64.b64encode(b"x" * 32).decode()

    with pytest.raises(SealBroken, match="does not open with key 'old'"):
        Keyring.parse(impostor).open(sealed, PLACE)
    with pytest.raises(SealBroken, match="was sealed with key 'old', which is not in the list"):
        Keyring.parse(NEW).open(sealed, PLACE)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "Key 1 of the list"),
        ("noid", "Key 1 of the list"),
        (f"{NEW},x y:AAAA", "Key 2 of the list"),
        ("k:%%%", "'k' is not valid base64"),
        ("k:AAAA", "'k' has 3 bytes and needs 32"),
        (f"{NEW},{NEW}", "'new' is in the list twice"),
    ],
)
def test_a_key_list_that_cant_be_used_is_named_without_its_keys(text, said):
    with pytest.raises(BadInput, match=said) as caught:
        Keyring.parse(text)

    assert base64.b64encode(b"n" * 32).decode() not in str(caught.value)


@pytest.mark.attack("A34")
def test_keys_show_in_no_repr_and_are_not_pickled():
    ring = Keyring.parse(f"{NEW},{OLD}")
    shown = f"{ring!r} {ring} {parse_keys(NEW)!r} {ring.newest!r}"

    assert "Keyring(new, old)" in shown
    assert "nnnn" not in shown
    assert "bm5ubm" not in shown
    with pytest.raises(TypeError):
        pickle.dumps(ring)


def test_no_two_tuples_of_places_are_joined_alike():
    tuples = [(), ("",), ("", ""), ("a",), ("a", ""), ("", "a"), ("a", "b"), ("ab",), ("\x00\x00\x00\x01a",)]

    assert len({joined(parts) for parts in tuples}) == len(tuples)
