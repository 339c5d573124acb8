"""A new key while mail goes out: no sign-in fails, no password is ever in the clear, and it may be broken off."""

from __future__ import annotations

import base64
import fcntl
import json
import os
import signal
import subprocess
import sys
import uuid
from collections import Counter

import pytest
from django.conf import settings

from campaigns.models import Attempt, Message
from campaigns.services import campaigns
from mailboxes.models import Mailbox
from outreach.common.sealing import Keyring, key_id_in
from tenants.services.actors import SYSTEM
from tests import factories
from tests.faults.conftest import CONTACTS, until
from tests.faults.sink import FaultSink, Rule

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.as_worker, pytest.mark.attack("A35")]
SEALED = int(os.environ.get("OUTREACH_FAULT_SEALED", "60"))
OLD, NEW = (f"{name}:" + base64.b64encode(name[0].encode() * 32).decode() for name in ("old", "new"))
BOTH = f"{NEW},{OLD}"


def password(i: int) -> str:
    return f"sign-in of mailbox {i}"


@pytest.fixture
def sink(tmp_path):
    """It lets nobody in without the mailbox's own password."""
    users = tmp_path / "users.json"
    users.write_text(json.dumps({f"box{i}": password(i) for i in range(SEALED)}))
    with FaultSink(tmp_path / "book.jsonl", users=users, require_auth=True) as running:
        yield running


@pytest.fixture
def boxes(sink):
    """SEALED mailboxes, each with a password of its own, sealed with the old key."""
    tenant, ring = factories.tenant(), Keyring.parse(OLD)

    def each(i: int) -> dict[str, object]:
        ref = uuid.uuid4()
        place = (str(tenant.pk), "mailboxes.Mailbox", str(ref), "smtp_password")
        return {
            "username": f"box{i}",
            "seal_ref": ref,
            "sealed_password": ring.seal(password(i).encode(), place),
            "weight": 1,
        }

    return factories.fleet(tenant, SEALED, host=sink.host, port=sink.port, each=each)


def start(boxes):
    """A campaign in which every mailbox sends."""
    tenant = boxes[0].tenant
    listed = factories.contact_list(tenant)
    factories.people(tenant, listed, max(CONTACTS, 2 * SEALED))
    campaign = factories.campaign(tenant, boxes[0].pool, listed)
    return campaigns.start(campaign, actor=SYSTEM)


class Rotation:
    """The real command, which writes into a pipe that holds a few lines: unread, it stands still."""

    def __init__(self, env: dict[str, str], *options: str) -> None:
        read, write = os.pipe()
        fcntl.fcntl(write, fcntl.F_SETPIPE_SZ, 4096)
        self.process = subprocess.Popen(
            [sys.executable, "manage.py", "rotate_keys", "--json", *options],
            cwd=settings.BASE_DIR,
            env=env | {"CREDENTIAL_KEYS": BOTH, "LOG_LEVEL": "INFO"},
            stdout=subprocess.PIPE,
            stderr=write,
        )
        os.close(write)
        self.said = os.fdopen(read, "rb")

    def ended(self) -> tuple[int, dict[str, object], str]:
        """Its exit code, what it answered, and the rest of its log."""
        log = self.said.read().decode()
        answer = self.process.stdout.read()
        self.said.close()
        self.process.stdout.close()
        return self.process.wait(), json.loads(answer), log


def keys_in_use() -> Counter[str]:
    stored = Mailbox.objects.values_list("sealed_password", flat=True)
    return Counter(key_id_in(bytes(sealed)) for sealed in stored)


def in_the_clear() -> int:
    return sum(b"sign-in" in bytes(sealed) for sealed in Mailbox.objects.values_list("sealed_password", flat=True))


def more_tries() -> None:
    """Wait until mail was tried again that the servers of some people put off: each try signs in."""
    before = Attempt.objects.count()
    until(lambda: Attempt.objects.count() >= before + SEALED // 4, "more tries")


@pytest.mark.fault
def test_keys_change_while_workers_send(house, boxes, sink, process_env):
    sink.rules(Rule("rcpt", answer="450 4.2.0 Mailbox busy, please try again later", match="^person[0-9]*5@"))
    house.env = {"CREDENTIAL_KEYS": BOTH}
    campaign = start(boxes)
    house.cron()
    house.workers()
    until(lambda: Message.objects.filter(status="sent").exists(), "the first mail")

    first = Rotation(process_env, "--batch", "1")
    until(lambda: b"seals.batch" in first.said.readline(), "the first batch")
    first.process.send_signal(signal.SIGTERM)
    code, answer, log = first.ended()

    assert (code, answer["stopped"], answer["broken"]) == (75, True, [])
    assert "Stopped; start it again to go on." in log
    assert in_the_clear() == 0
    half = keys_in_use()
    assert set(half) == {"old", "new"}
    assert half["new"] == answer["resealed"]
    more_tries()  # with half of the mailboxes under each key

    code, answer, log = Rotation(process_env, "--batch", "7").ended()

    assert (code, answer["waiting"], answer["broken"], answer["removable"]) == (0, 0, [], ["old"])
    assert (answer["current"], answer["resealed"]) == (SEALED, half["old"])
    assert keys_in_use() == {"new": SEALED}
    assert in_the_clear() == 0

    more_tries()
    sink.rules()
    house.finish(campaign)
    assert set(Attempt.objects.values_list("phase", flat=True)) == {"rcpt"}
    assert set(Mailbox.objects.values_list("hold", "failures")) == {("none", 0)}
    book = sink.read_book()
    assert set(book.copies().values()) == {1}
    assert len(book.accepted) == Message.objects.filter(status="sent").count() == max(CONTACTS, 2 * SEALED)
    assert {entry.user for entry in book.accepted} == {f"box{i}" for i in range(SEALED)}
    assert "sign-in of" not in log + house.logs(10_000)

    # Without the old key, everything opens still.
    house.env = {"CREDENTIAL_KEYS": NEW}
    second = start(boxes)
    house.cron()
    house.workers()
    house.finish(second)
    assert set(Attempt.objects.values_list("phase", flat=True)) == {"rcpt"}
    assert {message.status for message in second.messages.all()} == {"sent"}
