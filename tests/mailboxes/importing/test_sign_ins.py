"""Imported mailboxes sign in at real servers: what each answer means, how often, and how many at a time."""

from __future__ import annotations

import csv
import io
import json
import socket
from datetime import timedelta
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.db import transaction
from django.utils.timezone import now

from mailboxes.models import Mailbox, SignInTest
from mailboxes.services import imports, mailboxes, sign_ins
from outreach.common.errors import NotAllowed
from tenants import permissions
from tenants.models import AuditEntry, Lease
from tenants.services.actors import SYSTEM, Actor
from tests.mailboxes import hosts
from tests.mailboxes.importing.files import CANARY, COLUMNS, row, run

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.as_worker,
    pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS"),
]
MORE = f"{COLUMNS},imap_host,imap_port"


@pytest.fixture
def host():
    with hosts.running() as host:
        host.passwords["ann"] = CANARY
        yield host


@pytest.fixture
def line(host):
    def line(user="ann", *, imap=True, **changes) -> str:
        port = changes.pop("smtp_port", str(host.ports["smtp"]))
        found = row(f"{user}@sender.example", smtp_username=user, smtp_port=port, **changes)
        return f"{found},{'127.0.0.1' if imap else ''},{host.ports['imap'] if imap else ''}"

    return line


def tried(tenant, path) -> sign_ins.Report:
    number = run(tenant, path, test_sign_in=True).import_id
    *_, report = sign_ins.run(tenant, number, actor=SYSTEM)
    return report


def results() -> list[tuple]:
    rows = SignInTest.objects.order_by("mailbox__address_key", "door")
    return list(rows.values_list("mailbox__username", "door", "result", "tries"))


def test_each_door_is_tried_once_and_an_answer_is_a_result(tenant, host, line, write):
    report = tried(tenant, write(line(), line("bob"), columns=MORE))

    both = [(door, result, n) for result, n in (("ok", 0), ("refused", 1)) for door in ("imap", "smtp")]
    assert results() == [(user, *found) for user, found in zip(("ann", "ann", "bob", "bob"), both, strict=True)]
    assert dict(host.tries) == {(door, user): 1 for door in ("smtp", "imap") for user in ("ann", "bob")}
    assert (report.total, report.counts, report.held) == (4, {"ok": 2, "refused": 2}, 1)
    assert dict(Mailbox.objects.values_list("username", "hold")) == {"ann": "none", "bob": "sign_in_failed"}
    assert AuditEntry.objects.filter(action="mailbox.held").count() == 1
    told = AuditEntry.objects.get(action="mailboxes.sign_ins_tested").facts
    assert (told["ok"], told["refused"], told["held"]) == (2, 2, 1)
    assert not Lease.objects.filter(name__startswith="sign-in").exists()


def test_without_a_reader_only_the_way_out_is_tried(tenant, host, line, write):
    tried(tenant, write(line(imap=False), columns=MORE))

    assert results() == [("ann", "smtp", "ok", 0)]
    assert host.open["imap"] == 0


def test_after_three_refusals_the_host_sees_that_credential_no_more(tenant, host, line, write):
    path = write(line("bob", imap=False), columns=MORE)
    for _ in range(5):
        report = tried(tenant, path)

    assert host.tries == {("smtp", "bob"): 3}
    assert results() == [("bob", "smtp", "used_up", 3)]
    assert report.counts == {"used_up": 1}


def test_another_password_starts_anew(tenant, host, line, write):
    for _ in range(3):
        tried(tenant, write(line("bob", imap=False), columns=MORE))
    host.passwords["bob"] = "right"

    tried(tenant, write(line("bob", imap=False, smtp_password="right"), columns=MORE))

    assert host.tries == {("smtp", "bob"): 4}
    assert results() == [("bob", "smtp", "ok", 0)]
    assert Mailbox.objects.get().hold == "none"


def test_nobody_there_tells_nothing_and_counts_nothing(tenant, line, write):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: a connection is refused
        closed = str(taken.getsockname()[1])

        report = tried(tenant, write(line(imap=False, smtp_port=closed), columns=MORE))

    assert results() == [("ann", "smtp", "unknown", 0)]
    assert "connection refused" in SignInTest.objects.get().text
    assert (report.counts, Mailbox.objects.get().hold) == ({"unknown": 1}, "none")


def test_a_refusal_for_now_is_no_refusal_and_yet_a_try(tenant, host, line, write):
    host.imap_refusal = "NO [UNAVAILABLE] Come back later"

    tried(tenant, write(line("bob"), columns=MORE))

    assert results() == [("bob", "imap", "unknown", 1), ("bob", "smtp", "refused", 1)]


def test_a_host_without_a_way_to_sign_in_gets_no_password(tenant, host, line, write):
    host.imap_features = "IMAP4rev1 LOGINDISABLED"

    tried(tenant, write(line(), columns=MORE))

    assert ("imap", "ann") not in host.tries
    assert results()[0][:3] == ("ann", "imap", "unknown")


@pytest.mark.attack("A34")
def test_what_the_host_says_back_is_kept_without_the_password(tenant, host, line, write):
    host.imap_refusal = f"NO wrong: {CANARY}"

    tried(tenant, write(line("bob"), columns=MORE))

    kept = str(list(SignInTest.objects.values())) + str(list(Mailbox.objects.values_list("state_reason")))
    assert "[hidden]" in kept
    assert CANARY not in kept


def test_a_host_sees_no_more_at_once_than_it_may(tenant, host, line, write, settings):
    settings.SIGN_IN_HOST_CONNECTIONS = 3
    host.slow_seconds = 0.02
    names = [f"user{n}" for n in range(12)]
    host.passwords |= dict.fromkeys(names, CANARY)
    imap_only = [line(name) for name in names]

    report = tried(tenant, write(*imap_only, columns=MORE))

    assert report.counts == {"ok": 24}
    assert host.most["imap"] <= 3


def test_places_at_a_host_are_shared_with_other_testers(tenant, host, line, write, settings, monkeypatch):
    monkeypatch.setattr(sign_ins, "LOOK_SECONDS", 0.01)
    settings.SIGN_IN_HOST_CONNECTIONS = 1
    others = sign_ins._Places()
    assert others.at("127.0.0.1") == 1
    number = run(tenant, write(line(), columns=MORE), test_sign_in=True).import_id
    reports = sign_ins.run(tenant, number, actor=SYSTEM)

    assert next(reports).waits_for_host
    assert not host.tries
    others.leave()
    *_, report = reports

    assert report.counts == {"ok": 2}


def test_a_try_is_counted_before_the_host_is_dialled(tenant, host, line, write, monkeypatch):
    number = run(tenant, write(line("bob", imap=False), columns=MORE), test_sign_in=True).import_id

    def dies(job):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(sign_ins, "attempt", dies)
        with pytest.raises(KeyboardInterrupt):
            list(sign_ins.run(tenant, number, actor=SYSTEM))
    assert results() == [("bob", "smtp", "running", 1)]

    list(sign_ins.run(tenant, number, actor=SYSTEM))
    assert results() == [("bob", "smtp", "running", 1)]  # somebody may still be at it
    SignInTest.objects.update(at=now() - timedelta(seconds=sign_ins.CLAIM_SECONDS + 1))
    list(sign_ins.run(tenant, number, actor=SYSTEM))

    assert results() == [("bob", "smtp", "refused", 2)]


def test_a_password_that_came_meanwhile_is_not_held_for_the_old_one(tenant, host, line, write, monkeypatch):
    number = run(tenant, write(line("bob", imap=False), columns=MORE), test_sign_in=True).import_id
    real = sign_ins._settle

    def later(job, failure, of):
        mailboxes.set_password(Mailbox.objects.get(), "another", actor=SYSTEM)
        return real(job, failure, of)

    monkeypatch.setattr(sign_ins, "_settle", later)
    list(sign_ins.run(tenant, number, actor=SYSTEM))

    assert Mailbox.objects.get().hold == "none"


@pytest.mark.django_db(transaction=True)
def test_nothing_is_tried_inside_a_transaction(tenant, host, line, write):
    number = run(tenant, write(line(), columns=MORE), test_sign_in=True).import_id

    with pytest.raises(RuntimeError, match="durable"), transaction.atomic():
        list(sign_ins.run(tenant, number, actor=SYSTEM))

    assert not host.tries


def test_who_may_not_import_tries_nothing(tenant, host, line, write):
    number = run(tenant, write(line(), columns=MORE), test_sign_in=True).import_id
    analyst = Actor("user", "analyst", everywhere=permissions.ROLES["analyst"])

    with pytest.raises(NotAllowed):
        list(sign_ins.run(tenant, number, actor=analyst))

    assert not host.tries


def test_an_import_taken_back_takes_its_tests_along(tenant, line, write):
    number = run(tenant, write(line(), columns=MORE), test_sign_in=True).import_id
    list(sign_ins.run(tenant, number, actor=SYSTEM))

    imports.roll_back(imports.find(tenant, number), actor=SYSTEM)

    assert not Mailbox.objects.exists()
    assert not SignInTest.objects.exists()


def test_the_command_tells_the_results_and_writes_those_that_failed(tenant, line, write):
    output, path = io.StringIO(), write(line(), line("bob"), columns=MORE)

    with pytest.raises(CommandError, match="2 sign-ins were refused by their host; see .*sign-ins.csv") as caught:
        call_command("import_mailboxes", str(path), "--test-sign-in", "--json", tenant=tenant.slug, stdout=output)

    assert caught.value.returncode == 2
    told = json.loads(output.getvalue())["sign_ins"]
    assert (told["ok"], told["refused"], told["held"]) == (2, 2, 1)
    file = Path(told["file"])
    rows = list(csv.DictReader(file.read_text(encoding="utf-8-sig").splitlines()))
    assert [(found["address"], found["door"], found["result"]) for found in rows] == [
        ("bob@sender.example", "imap", "refused"), ("bob@sender.example", "smtp", "refused"),
    ]  # fmt: skip
    assert file.stat().st_mode & 0o777 == 0o600


def test_a_dry_run_signs_in_nowhere(tenant, host, line, write):
    with pytest.raises(CommandError, match="take one of"):
        call_command("import_mailboxes", str(write(line(), columns=MORE)), "--test-sign-in", "--dry-run",
                     tenant=tenant.slug)  # fmt: skip

    assert not host.tries
    assert not Mailbox.objects.exists()
