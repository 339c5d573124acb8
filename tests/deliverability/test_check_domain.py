"""manage.py check_domain: its table, its JSON, its exit codes."""

import io
import json

import pytest
from django.core.management import CommandError, call_command

from tests.deliverability.name_server import SERVFAIL
from tests.deliverability.test_dkim import GOOD


@pytest.fixture
def sound(server):
    """A domain where nothing is wrong."""
    server.put("example.com", "MX", (10, "aspmx.l.google.com"))
    server.put("aspmx.l.google.com", "A", "192.0.2.1")
    server.put("example.com", "TXT", "v=spf1 ip4:192.0.2.9 include:_spf.example.net -all")
    server.put("_spf.example.net", "TXT", "v=spf1 ip4:198.51.100.0/24 -all")
    server.put("s1._domainkey.example.com", "TXT", GOOD)
    server.put("_dmarc.example.com", "TXT", "v=DMARC1; p=none; rua=mailto:d@example.com")
    server.put("9.2.0.192.in-addr.arpa", "PTR", "out.example.com")
    server.put("out.example.com", "A", "192.0.2.9")
    server.put("go.example.com", "CNAME", "links.example.net")
    server.put("links.example.net", "A", "192.0.2.2")
    return server


def run(server, *arguments, out=None):
    """(exit code, standard output)"""
    out = out or io.StringIO()
    code = 0
    try:
        call_command("check_domain", "example.com", f"--nameserver=127.0.0.1:{server.port}", *arguments, stdout=out)
    except SystemExit as end:
        code = end.code
    return code, out.getvalue()


def test_a_sound_domain_ends_with_0(sound):
    code, out = run(sound, "--selector", "s1", "--ip", "192.0.2.9", "--way-out", "include:_spf.example.net",
                    "--links", "go.example.com", "links.example.net")  # fmt: skip

    lines = [line.split(maxsplit=2) for line in out.splitlines()[1:-1]]
    assert (code, out.splitlines()[0]) == (0, "example.com")
    assert [(level, check) for level, check, _ in lines] == [
        ("pass", "mx"),
        ("pass", "spf"),
        ("pass", "spf"),
        ("pass", "spf"),
        ("pass", "spf"),
        ("pass", "dkim"),
        ("pass", "dmarc"),
        ("pass", "ptr"),
        ("pass", "tracking"),
    ]
    assert "SPF of example.com for 192.0.2.9 is pass." in out
    assert "example.com receives mail at aspmx.l.google.com (google)." in out
    assert out.splitlines()[-1] == "fail=0 unknown=0 warn=0 pass=9"


def test_a_failure_ends_with_2_and_says_what_to_do(sound):
    sound.put("s2._domainkey.example.com", "TXT", "v=DKIM1; p=")
    code, out = run(sound, "--selector", "s1", "s2", "--ip", "203.0.113.5")

    assert code == 2
    assert "-> Sign with another selector." in out
    assert "SPF of example.com for 203.0.113.5 is fail." in out


def test_what_nobody_could_tell_ends_with_3_unless_something_fails(sound):
    sound.put("s1._domainkey.example.com", "TXT", SERVFAIL)
    assert run(sound, "--selector", "s1")[0] == 3

    sound.put("example.com", "MX", (0, "."))
    assert run(sound, "--selector", "s1")[0] == 2


def test_json(sound):
    sound.put("example.com", "TXT", "v=spf1 -all", b"v=spf1 \xff +all")
    code, out = run(sound, "--selector=s1", "--json")

    told = json.loads(out)
    assert (code, told["domain"], told["level"]) == (2, "example.com", "fail")
    (spf,) = [each for each in told["findings"] if each["check"] == "spf"]
    assert (spf["level"], spf["code"]) == ("fail", "several")
    assert spf["evidence"] == ["v=spf1 -all", "v=spf1 \\xff +all"]


def test_without_a_selector_no_key_is_called_missing(sound):
    code, out = run(sound)
    assert (code, "No key was looked at" in out) == (0, True)


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_colour_is_for_terminals_and_nothing_from_dns_steers_them(sound, monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    sound.put("example.com", "TXT", "v=spf1 \x1b[2J -all")

    assert "\x1b" not in run(sound)[1]
    painted = run(sound, "--force-color", out=Terminal())[1]
    assert "\x1b[" in painted
    assert "\x1b[2J" not in painted
    assert "v=spf1 \\x1b[2J -all" in painted


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["ex..com"], "NAME: 'ex..com' is no domain name."),
        (["example.com", "--nameserver=ns.example.com"], "--nameserver: 'ns.example.com' is no IP address."),
        (["example.com", "--nameserver=127.0.0.1:0"], "--nameserver: '0' is no port."),
        (["example.com", "--nameserver=[::1]:99999"], "--nameserver: '99999' is no port."),
        (["example.com", "--ip=1.2.3"], "--ip: '1.2.3' is no IP address."),
        (["example.com", "--way-out=include:"], "--way-out: '' is no domain."),
        (["example.com", "--links", "a.example.com", "-"], "--links: '-' is no domain name."),
        (["example.com", "--nameserver=127.0.0.1:9", "--selector=a/b"], "'a/b' is no DKIM selector."),
    ],
)
def test_arguments_that_can_not_be(arguments, said):
    with pytest.raises(CommandError) as caught:
        call_command("check_domain", *arguments)
    assert str(caught.value) == said
