"""Keys of DKIM selectors, as findings."""

import base64
from contextlib import suppress

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from deliverability.dns import dkim
from tests.deliverability.name_server import SERVFAIL, TIMEOUT

NAME = "s1._domainkey.example.com"


def element(tag: int, content: bytes) -> bytes:
    size = len(content)
    length = bytes([size]) if size < 128 else bytes([0x82]) + size.to_bytes(2, "big")
    return bytes([tag]) + length + content


def bare_key(bits: int) -> bytes:
    """RSAPublicKey of any length, also of one that libraries refuse to make."""
    modulus = ((1 << (bits - 1)) + 1).to_bytes(bits // 8 + 1, "big")
    return element(0x30, element(0x02, modulus) + element(0x02, b"\x01\x00\x01"))


def whole_key(bits: int) -> bytes:
    algorithm = element(0x30, bytes.fromhex("06092a864886f70d0101010500"))
    return element(0x30, algorithm + element(0x03, b"\x00" + bare_key(bits)))


def encoded(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


GOOD = f"v=DKIM1; k=rsa; p={encoded(whole_key(2048))}"


def codes(findings):
    return [(finding.level, finding.code) for finding in findings]


def test_a_key_of_a_library_is_read():
    key = rsa.generate_private_key(65537, 2048).public_key()
    for form in (PublicFormat.SubjectPublicKeyInfo, PublicFormat.PKCS1):
        text = f"v=DKIM1; p={encoded(key.public_bytes(Encoding.DER, form))}"
        assert dkim.parse_key(text) == dkim.Key("rsa", 2048, False, True)


def test_an_ed25519_key(server, resolver):
    raw = ed25519.Ed25519PrivateKey.generate().public_key().public_bytes_raw()
    server.put(NAME, "TXT", f"v=DKIM1; k=ed25519; p={encoded(raw)}")
    assert codes(dkim.check(resolver, "example.com", ["s1"])) == [("pass", "ed25519")]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (GOOD, [("pass", "sound")]),
        (GOOD.removeprefix("v=DKIM1; k=rsa; "), [("pass", "sound")]),
        (GOOD.replace("; ", " ;\t") + ";", [("pass", "sound")]),
        (f"v=DKIM1; p={encoded(whole_key(512))}", [("fail", "short")]),
        (f"v=DKIM1; p={encoded(bare_key(1016))}", [("fail", "short")]),
        (f"v=DKIM1; p={encoded(whole_key(1024))}", [("warn", "short_soon")]),
        ("v=DKIM1; k=rsa; p=", [("fail", "revoked")]),
        (f"{GOOD}; t=y:s", [("pass", "sound"), ("warn", "test_mode")]),
        (f"{GOOD}; t=s", [("pass", "sound")]),
        (f"{GOOD}; h=sha1", [("fail", "hash")]),
        (f"{GOOD}; h=sha1:sha256; s=email; n=note", [("pass", "sound")]),
        (f"{GOOD}; s=tlsrpt", [("fail", "service")]),
        ("v=DKIM1; k=dsa; p=AAAA", [("fail", "algorithm")]),
        ("v=DKIM1; k=ed25519; p=AAAA", [("fail", "syntax")]),
        ("v=DKIM1; p=not base64!", [("fail", "syntax")]),
        ("v=DKIM1; p=AAAA", [("fail", "syntax")]),
        (GOOD[:-100] + "==", [("fail", "syntax")]),
        ("v=DKIM1; k=rsa", [("fail", "syntax")]),
        ("k=rsa; v=DKIM1; p=AAAA", [("fail", "syntax")]),
        ("v=DKIM2; p=AAAA", [("fail", "syntax")]),
        (f"{GOOD}; p=AAAA", [("fail", "syntax")]),
        (b"v=DKIM1; p=\xff\xfe", [("fail", "syntax")]),
        ("v=spf1 -all", [("fail", "missing")]),
    ],
)
def test_keys(server, resolver, text, expected):
    server.put(NAME, "TXT", text)
    assert codes(dkim.check(resolver, "example.com", ["s1"])) == expected


def test_every_selector_is_judged(server, resolver):
    server.put(NAME, "TXT", GOOD)
    assert codes(dkim.check(resolver, "example.com", ["s1", "s2"])) == [("pass", "sound"), ("fail", "missing")]


def test_two_keys_at_one_selector(server, resolver):
    server.put(NAME, "TXT", GOOD, "v=DKIM1; p=")
    assert codes(dkim.check(resolver, "example.com", ["s1"])) == [("fail", "several")]


def test_a_cname_leads_to_the_host_of_the_key(server, resolver):
    server.put(NAME, "CNAME", "s1.keys.example.net")
    server.put("s1.keys.example.net", "TXT", GOOD)
    server.put("s2._domainkey.example.com", "CNAME", "gone.example.net")

    good, gone = dkim.check(resolver, "example.com", ["s1", "s2"])

    assert good.text == "Selector s1 (by CNAME s1.keys.example.net): an RSA key of 2048 bits."
    assert (gone.level, gone.code) == ("fail", "missing")
    assert "The CNAME leads to gone.example.net" in gone.remedy


@pytest.mark.fault("F29")
@pytest.mark.parametrize("word", [SERVFAIL, TIMEOUT])
def test_trouble_is_unknown(server, resolver, word):
    server.put(NAME, "TXT", word)
    assert codes(dkim.check(resolver, "example.com", ["s1"])) == [("unknown", "no_answer")]


@pytest.mark.parametrize("selector", ["", "a/b", "a b", "-a", "a..b", "x" * 64, "ü", "a." * 100 + "b"])
def test_what_is_no_selector(resolver, selector):
    with pytest.raises(ValueError, match="is no DKIM selector"):
        dkim.check(resolver, "example.com", [selector])


@given(st.binary(max_size=80) | st.binary(max_size=60).map(lambda rest: b"\x30\x82\x00\x40\x30" + rest))
def test_no_bytes_make_the_reading_of_a_key_raise(raw):
    assert dkim.rsa_bits(raw) >= 0


@given(st.text(st.characters(max_codepoint=255), max_size=80))
def test_no_text_makes_the_reading_of_a_record_raise_anything_else(text):
    with suppress(dkim.DkimKeyError):
        assert dkim.parse_key(text).bits
