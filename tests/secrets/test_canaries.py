"""Secrets planted in a whole console, real life over it, and then a look everywhere: none of them is to be found."""

from __future__ import annotations

import base64
import csv
import json
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml
from django_otp.oath import totp

from outreach.common import tokens
from outreach.common.sealing import Keyring
from tests import factories
from tests.campaigns import contact_files
from tests.deliverability import zones
from tests.deliverability.name_server import NameServer
from tests.faults.conftest import until
from tests.faults.sink import FaultSink, Rule
from tests.secrets.house import Browser, Console
from tests.secrets.spellings import files_of, hits, spellings

pytestmark = pytest.mark.attack("A34")
MANAGER, JOINED = "chief@example.com", "joined@example.net"
MAILBOX_COLUMNS = (
    "address", "pool", "smtp_host", "smtp_port", "smtp_security", "smtp_username", "smtp_password", "min_gap_seconds",
)  # fmt: skip
FIRST_USER = """
import os
from outreach.common import isolation
from tenants.services import factors, members, users
from tenants.services.actors import SYSTEM
with isolation.everything():
    made = users.enrol(os.environ["EMAIL"], os.environ["PASSWORD"], actor=SYSTEM)
    members.grant(made, "platform_admin", None, actor=SYSTEM)
    device, codes = factors.give(made, actor=SYSTEM)
print("URL", device.config_url)
print("CODES", *codes)
"""


def canary(name: str) -> str:
    """A password that every encoding changes."""
    return f"{name} {secrets.token_hex(8)} & <b>'é+/=%\"ö\\"


def said_back(password: str) -> str:
    """How a careless server might put it into its answer."""
    encoded = password.encode()
    return f"{password} {base64.b64encode(encoded).decode()} {encoded.hex()}"


def secret_of(config_url: str) -> bytes:
    text = parse_qs(urlsplit(config_url).query)["secret"][0]
    return base64.b32decode(text + "=" * (-len(text) % 8))


@pytest.fixture
def console(tmp_path) -> Iterator[Console]:
    made = Console(tmp_path)
    made.start()
    yield made
    made.close()


@contextmanager
def served(domain: str) -> Iterator[str]:
    """HOST:PORT of a name server that has all the records of that sending domain."""
    server = NameServer()
    zones.publish(server, domain)
    server.start()
    try:
        yield f"127.0.0.1:{server.port}"
    finally:
        server.stop()


class Life:
    """What people, systems and machines do in a day."""

    def __init__(self, console: Console, sink: FaultSink, folder: Path) -> None:
        self.console, self.sink, self.folder = console, sink, folder
        names = ("good", "bad", "typed", "user", "mistyped", "joined")
        self.passwords = {name: canary(name) for name in names}
        self.planted: dict[str, bytes] = {f"{name} password": text.encode() for name, text in self.passwords.items()}
        keys = console.keys()
        self.planted["SECRET_KEY"] = keys["SECRET_KEY"].encode()
        self.planted |= {name: base64.b64decode(keys[name]) for name in ("HASH_KEY", "AUDIT_KEY")}
        for name in ("CREDENTIAL_KEYS", "TOKEN_KEYS"):
            self.planted[name] = base64.b64decode(keys[name].partition(":")[2])

    def all(self) -> None:
        self.import_everything()
        self.send()
        self.sign_in()
        self.invite()
        self.unsubscribe()
        self.set_password()
        self.look()
        self.ask_the_api()
        self.crash()
        self.console.command("dumpdata", "--all", code=1)
        self.console.command("doctor", "--json")
        self.console.command("rotate_keys")

    def import_everything(self) -> None:
        run = self.console.command
        run("create_tenant", "acme", "--postal-address", "1 Example Street, 01001 Kyiv, Ukraine")
        record = self.folder / "record.yaml"
        record.write_text(yaml.safe_dump(factories.RECORD | {"checklist": {"provenance": "done"}}))
        run("tenant_record", "acme", str(record))
        for name, wrong in (("mailboxes", False), ("refused", True)):
            with (self.folder / f"{name}.csv").open("w", newline="") as file:
                rows = csv.writer(file)
                rows.writerow(MAILBOX_COLUMNS)
                for user in ("good", "bad"):
                    address = "no address" if wrong else f"{user}@sender.example"
                    server = (self.sink.host, self.sink.port, "none", user, self.passwords[user], 0)
                    rows.writerow((address, "all", *server))
        run("import_mailboxes", str(self.folder / "mailboxes.csv"), "--tenant", "acme")
        run("import_mailboxes", str(self.folder / "refused.csv"), "--tenant", "acme", "--json", code=2)
        with served("sender.example") as nameserver:
            run("check_domains", "--tenant", "acme", "--nameserver", nameserver)
        people = "\n".join(contact_files.row(f"person{i}@world.example") for i in range(12))
        (self.folder / "people.csv").write_text(f"{contact_files.COLUMNS}\n{people}\n")
        run("import_contacts", str(self.folder / "people.csv"), "--tenant", "acme", "--list", "All")
        # What no secret is part of: the hosts' terms were read, and the addresses are known to work.
        sql = self.console.sql
        sql("UPDATE mailboxes_provideraccount SET allowed_bases = '{consent}'")
        sql("UPDATE campaigns_contact SET validity = 'valid', basis_evidence = 'badge scan', collected_directly = TRUE")
        sql("UPDATE campaigns_contact SET country = (SELECT allowed_countries[1] FROM tenants_tenantrecord LIMIT 1)")
        key = run("issue_key", "--tenant", "acme", "--name", "Shop", "--scope", "campaigns.view", "--scope",
                  "mailboxes.view", "--scope", "tenants.view", keep=False).strip()  # fmt: skip
        self.planted |= {"API key": key.encode(), "secret of the API key": key.split("_", 2)[2].encode()}

    def campaign(self, name: str) -> None:
        spec = {
            "name": name, "pool": "all", "list": "All", "subject": "Hello", "text": "Hello {{ first_name }}",
            "window": {"from": "00:00", "until": "00:00", "zone": "UTC"}, "pace": "prompt",
        }  # fmt: skip
        path = self.folder / "campaign.yaml"
        path.write_text(yaml.safe_dump(spec))
        self.console.command("campaign", "create", str(path), "--tenant", "acme")
        self.console.command("campaign", "start", name, "--tenant", "acme")

    def send(self) -> None:
        """One mailbox can't sign in, and both servers say the password back in whatever they answer."""
        bad, good = said_back(self.passwords["bad"]), said_back(self.passwords["good"])
        self.sink.rules(
            Rule("auth", answer=f"535 5.7.8 Not with {bad}", match="^bad"),
            Rule("rcpt", answer=f"550 5.1.1 Nobody here, says {good}", match="^person5@"),
            Rule("dot", answer=f"450 4.2.0 Busy, says {good}", match="^person6@", times=1),
            Rule("dot", answer=f"250 2.0.0 Taken, says {good}", match="^person7@"),
        )
        self.campaign("First")
        wanted = {
            "Not with [hidden]",
            "Nobody here, says [hidden]",
            "Busy, says [hidden]",
            "2.0.0 Taken, says [hidden]",
        }
        until(lambda: wanted <= self.answers(), "all four answers", 60)
        until(lambda: ("sign_in_failed",) in self.console.sql("SELECT hold FROM mailboxes_mailbox"), "the hold", 60)

    def answers(self) -> set[str]:
        """What the servers said, up to the first thing that was cut out."""
        told = self.console.sql("SELECT text FROM campaigns_attempt UNION SELECT reply_text FROM campaigns_message")
        return {f"{text.partition('[hidden]')[0]}[hidden]" for (text,) in told}

    def sign_in(self) -> None:
        told = self.console.command(
            "shell",
            "--no-imports",
            "-v",
            "0",
            stdin=FIRST_USER,
            keep=False,
            EMAIL=MANAGER,
            PASSWORD=self.passwords["user"],
        )
        totp_secret = secret_of(re.search(r"URL (\S+)", told)[1])
        self.planted["second factor"] = totp_secret
        for number, code in enumerate(re.search(r"CODES (.+)", told)[1].split()):
            self.planted[f"recovery code {number}"] = code.encode()
        self.browser = Browser(self.console)
        self.browser.get("/console/login/")
        form = {"username": MANAGER, "password": self.passwords["mistyped"], "otp_token": "000000", "next": "/console/"}
        assert self.browser.post("/console/login/", form)[0] == 200
        form |= {"password": self.passwords["user"], "otp_token": f"{totp(totp_secret):06}"}
        _, body = self.browser.post("/console/login/", form)
        assert b"logout" in body, body[:3000]
        self.planted["session"] = self.browser.cookie("sessionid").encode()

    def invite(self) -> None:
        form = {"email": JOINED, "role": "operator", "tenant": "acme", "expires_at_0": "", "expires_at_1": ""}
        _, body = self.browser.post("/console/tenants/invitation/add/", form, keep=False)
        link = re.search(rb"http://localhost:\d+(/console/invitation/([\w-]+)/)", body)
        self.planted["invitation"] = link[2]
        stranger = Browser(self.console)
        stranger.get(link[1].decode(), keep=False)
        password = self.passwords["joined"]
        stranger.post(link[1].decode(), {"password": password, "again": f"{password}x"}, keep=False)
        _, body = stranger.post(link[1].decode(), {"password": password, "again": password}, keep=False)
        assert b"Welcome" in body
        stranger.get("/console/login/", keep=False)
        form = {"username": JOINED, "password": password, "otp_token": "", "next": "/console/"}
        _, body = stranger.post("/console/login/", form, keep=False)
        secret = base64.b32decode(re.search(rb'<pre class="source">(\w+)', body)[1])
        self.planted["second factor of the invited"] = secret
        _, body = stranger.post("/console/second-factor/", {"code": f"{totp(secret):06}"}, keep=False)
        codes = re.findall(rb"<code>([a-z2-7]{5}-[a-z2-7]{5})</code>", body)
        assert len(codes) == 10, body
        self.planted |= {f"recovery code {number} of the invited": code for number, code in enumerate(codes)}

    def unsubscribe(self) -> None:
        ((tenant, message),) = self.console.sql(
            "SELECT tenant_id, id FROM campaigns_message WHERE status = 'sent' ORDER BY id LIMIT 1"
        )
        token = tokens.sign(Keyring.parse(self.console.keys()["TOKEN_KEYS"]), tenant, message)
        self.planted["unsubscribe token"] = token.encode()
        stranger = Browser(self.console)
        assert stranger.get(f"/u/{token}", keep=False)[0] == 200
        assert stranger.post(f"/u/{token}", {"List-Unsubscribe": "One-Click"}, keep=False)[0] == 200
        stranger.get(f"/u/{token}x")
        stranger.get(f"/u/{token}/more")

    def set_password(self) -> None:
        """First into a database that refuses it, so that the page breaks; then well. Its server says this one back."""
        self.sink.rules(Rule("auth", answer=f"535 5.7.8 Not with {said_back(self.passwords['typed'])}", match="^bad"))
        ((pk,),) = self.console.sql("SELECT id FROM mailboxes_mailbox WHERE username = 'bad'")
        form = {"action": "set_password", "_selected_action": pk, "index": "0", "confirmed": "1"}
        typed = form | {"password": self.passwords["typed"]}
        page = "/console/mailboxes/mailbox/"
        self.console.sql("REVOKE UPDATE ON mailboxes_mailbox FROM outreach_web")
        assert self.browser.post(page, typed)[0] == 500
        self.console.sql("GRANT UPDATE ON mailboxes_mailbox TO outreach_web")
        self.browser.post(page, typed | {"password": self.passwords["typed"] * 100})
        assert self.browser.post(page, typed)[0] == 200
        assert self.console.sql("SELECT hold FROM mailboxes_mailbox WHERE id = %s", pk) == [("none",)]

    def look(self) -> None:
        pages = self.browser.crawl("/console/", 200)
        assert pages > 50
        for page in ("campaigns/contact", "campaigns/suppression", "campaigns/contactlist"):
            table = page.replace("/", "_")
            ids = [pk for (pk,) in self.console.sql(f"SELECT id FROM {table} LIMIT 50")]  # noqa: S608 - our own
            _, body = self.browser.post(
                f"/console/{page}/", {"action": "export", "_selected_action": ids, "index": "0"}
            )
            assert body.startswith(b"\xef\xbb\xbf") or page == "campaigns/contactlist", page

    def ask_the_api(self) -> None:
        key = self.planted["API key"].decode()
        system = Browser(self.console)
        for name in (
            "tenants",
            "campaigns",
            "mailboxes",
            "domains",
            "accounts",
            "pools",
            "messages",
            "contacts",
            "nothing",
        ):
            system.get(f"/api/v1/{name}/", Authorization=f"Bearer {key}")
        assert b"good@sender.example" in b"".join(self.console.said.values())
        system.get("/api/v1/campaigns/", Authorization=f"Bearer {key}x")
        system.get(f"/api/v1/campaigns/?key={key}")
        system.get(f"/api/v1/{key}/", keep=False)  # it names the address that was asked for

    def crash(self) -> None:
        """A job that breaks off with a traceback, kept by the queue and written into the log."""
        self.console.sql("REVOKE SELECT ON campaigns_step FROM outreach_worker")
        self.campaign_of_crash()
        until(lambda: b"permission denied for table campaigns_step" in self.console.log.read_bytes(), "the crash")
        self.console.sql("GRANT SELECT ON campaigns_step TO outreach_worker")

    def campaign_of_crash(self) -> None:
        self.console.sql("GRANT SELECT ON campaigns_step TO outreach_worker")
        self.campaign("Second")
        self.console.sql("REVOKE SELECT ON campaigns_step FROM outreach_worker")


def test_no_secret_leaves_its_seal(console, tmp_path):
    users = tmp_path / "users.json"
    users.write_text("{}")
    with FaultSink(tmp_path / "sink" / "book.jsonl", require_auth=True) as sink:
        life = Life(console, sink, tmp_path)
        life.all()
    places = console.tables() | console.keys_of_valkey()
    assert console.stop() == 0

    log = console.log.read_bytes()
    found = hits(life.planted, places | console.said | {"log": log})
    servers = dict(files_of(console.state, but=frozenset({"env"})))
    raw = {name: content for name, content in servers.items() if name.startswith("postgres/")}
    found |= hits(life.planted, {name: content for name, content in servers.items() if name not in raw})
    found |= {
        (name, "clear", place) for name, value in life.planted.items() for place, text in raw.items() if value in text
    }

    assert sorted(found) == []
    assert len(places) > 30
    assert b"Traceback" in log
    assert b"permission denied for table mailboxes_mailbox" in log
    assert any(name.startswith("valkey/") for name in servers)
    assert any(name.endswith("postgres.log") for name in servers)


def test_the_search_finds_a_secret_in_every_spelling():
    secret = canary("planted").encode()

    for name, written in spellings(secret).items():
        places = {"clean": b"nothing here", "leak": b"before " + written + b" after"}
        assert ("it", name, "leak") in hits({"it": secret}, places)
        assert {place for _, _, place in hits({"it": secret}, places)} == {"leak"}
    for prefix in (b"", b"u", b"us", b"use"):
        encoded = base64.b64encode(prefix + secret + b"!")
        assert hits({"it": secret}, {"leak": encoded})
    assert json.dumps(secret.decode()).encode()[1:-1] in spellings(secret).values()
