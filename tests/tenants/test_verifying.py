"""verify_audit names the first row that is not what was written, and a tail that is gone."""

from __future__ import annotations

import hashlib
import json
import os
import stat
from contextlib import contextmanager

import pytest
from django.core.management import CommandError, call_command
from django.db import ProgrammingError, connection, transaction

from tenants import chain
from tenants.models import AuditEntry
from tenants.services import audit, verifying
from tenants.services.actors import SYSTEM, of_grants
from tests import factories

pytestmark = [pytest.mark.django_db, pytest.mark.as_owner, pytest.mark.attack("A36")]
ENTRIES = 8


@pytest.fixture
def tenant():
    tenant = factories.tenant()
    for number in range(ENTRIES - AuditEntry.objects.filter(tenant=tenant).count()):
        audit.record(SYSTEM, "tenant.tested", tenant, reason=f"Number {number}", before={"n": number}, after=None)
    return tenant


def verified(tenant, signed=()):
    *_, report = verifying.verify([tenant and tenant.pk], actor=SYSTEM, signed=signed)
    return report


@contextmanager
def as_an_intruder():
    """Somebody with the owner's rights who knows how to pass by the triggers."""
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL app.append_only = 'off'")
        yield cursor
        cursor.execute("SET LOCAL app.append_only = ''")


def row(tenant, seq):
    return AuditEntry.objects.get(tenant=tenant, seq=seq)


def test_a_chain_that_nobody_touched_holds(tenant):
    report = verified(tenant)

    assert (report.entries, report.faults) == (ENTRIES, [])
    assert [(head.tenant_id, head.seq) for head in report.heads] == [(tenant.pk, ENTRIES)]


@pytest.mark.parametrize("sql", ["UPDATE tenants_auditentry SET reason = 'x'", "DELETE FROM tenants_auditentry",
                                 "TRUNCATE tenants_auditentry", "DELETE FROM tenants_auditchain"])  # fmt: skip
def test_even_the_owner_is_stopped_by_a_trigger(tenant, sql):
    connection.check_constraints()
    with pytest.raises(ProgrammingError, match="takes new rows only"), transaction.atomic():
        connection.cursor().execute(sql)


@pytest.mark.parametrize(
    "change",
    [
        "reason = 'Another'", "at = at + interval '1 second'", "actor_user_id = NULL, actor_kind = 'user'",
        "subject_id = subject_id + 1", """before = '{"n": 99}'""", "before = NULL", "ip = '192.0.2.1'",
        "action = 'tenant.praised'", """facts = '{"x": 1}'""", "hash = decode(repeat('ab', 32), 'hex')",
    ],
)  # fmt: skip
def test_an_edited_row_is_named(tenant, change):
    edited = row(tenant, 4)
    with as_an_intruder() as cursor:
        cursor.execute(f"UPDATE tenants_auditentry SET {change} WHERE id = %s", [edited.pk])  # noqa: S608

    [fault] = verified(tenant).faults
    assert (fault.seq, fault.entry_id) == (4, edited.pk)


def test_a_deleted_row_is_named_by_its_number(tenant):
    with as_an_intruder() as cursor:
        cursor.execute("DELETE FROM tenants_auditentry WHERE id = %s", [row(tenant, 5).pk])

    [fault] = verified(tenant).faults
    assert (fault.seq, fault.entry_id) == (5, None)
    assert "entry 5 is missing" in fault.what


def test_a_deleted_row_whose_gap_was_closed_is_found(tenant):
    follower = row(tenant, 6)
    with as_an_intruder() as cursor:
        cursor.execute("DELETE FROM tenants_auditentry WHERE tenant_id = %s AND seq = 5", [tenant.pk])
        for seq in range(6, ENTRIES + 1):
            cursor.execute(
                "UPDATE tenants_auditentry SET seq = seq - 1 WHERE tenant_id = %s AND seq = %s", [tenant.pk, seq]
            )
        cursor.execute("UPDATE tenants_auditchain SET seq = seq - 1 WHERE tenant_id = %s", [tenant.pk])

    [fault] = verified(tenant).faults
    assert (fault.seq, fault.entry_id) == (5, follower.pk)


@pytest.mark.parametrize("with_hashes", [True, False])
def test_swapped_rows_are_named(tenant, with_hashes):
    first, second = row(tenant, 3), row(tenant, 6)
    with as_an_intruder() as cursor:
        for pk, seq in ((first.pk, 0), (second.pk, 3), (first.pk, 6)):
            cursor.execute("UPDATE tenants_auditentry SET seq = %s WHERE id = %s", [seq, pk])
        if not with_hashes:
            cursor.execute("UPDATE tenants_auditentry SET hash = %s WHERE id = %s", [bytes(first.hash), second.pk])
            cursor.execute("UPDATE tenants_auditentry SET hash = %s WHERE id = %s", [bytes(second.hash), first.pk])

    [fault] = verified(tenant).faults
    assert (fault.seq, fault.entry_id) == (3, second.pk)


def test_a_row_put_in_by_somebody_without_the_key_is_named(tenant):
    """Web may call the function that appends; what it appends without AUDIT_KEY does not hold."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT seq, at FROM app_audit_head(%s)", [tenant.pk])
        seq, at = cursor.fetchone()
        forged = {"tenant_id": tenant.pk, "seq": seq + 1, "at": at.isoformat(), "action": "tenant.praised",
                  "actor_kind": "user", "actor_name": "", "subject": "tenants.Tenant", "reason": "", "facts": {},
                  "ip": "", "request_id": "", "via": ""}  # fmt: skip
        cursor.execute("SELECT app_audit_append(%s, %s)", [json.dumps(forged), b"x" * 32])
        forged_id = cursor.fetchone()[0]

    [fault] = verified(tenant).faults
    assert (fault.seq, fault.entry_id) == (ENTRIES + 1, forged_id)


def test_an_entry_that_does_not_follow_the_head_is_refused(tenant):
    with pytest.raises(Exception, match="does not follow"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            "SELECT app_audit_append(%s, %s)", [json.dumps({"tenant_id": tenant.pk, "seq": ENTRIES}), b"x" * 32]
        )


def cut(tenant, count, *, head_too):
    with as_an_intruder() as cursor:
        kept = row(tenant, ENTRIES - count)
        cursor.execute("DELETE FROM tenants_auditentry WHERE tenant_id = %s AND seq > %s", [tenant.pk, kept.seq])
        if head_too:
            cursor.execute(
                "UPDATE tenants_auditchain SET seq = %s, hash = %s WHERE tenant_id = %s",
                [kept.seq, bytes(kept.hash), tenant.pk],
            )


def test_a_cut_tail_is_found_by_the_chains_own_head(tenant):
    cut(tenant, 2, head_too=False)

    [fault] = verified(tenant).faults
    assert fault.seq == ENTRIES - 1
    assert "the chain has counted 8" in fault.what


def test_a_tail_cut_together_with_its_head_is_found_against_a_head_signed_earlier(tenant):
    signed = chain.read_signed(audit.keys(), chain.sign(audit.keys(), verified(tenant).heads, at=row(tenant, 1).at))
    cut(tenant, 2, head_too=True)

    assert verified(tenant).faults == []
    [fault] = verified(tenant, signed).faults
    assert (fault.tenant_id, fault.seq) == (tenant.pk, ENTRIES - 1)
    assert "the signed head names entry 8" in fault.what


def test_a_tail_written_anew_with_the_key_is_found_against_a_head_signed_earlier(tenant):
    signed = verified(tenant).heads
    cut(tenant, 2, head_too=True)
    for number in range(3):
        audit.record(SYSTEM, "tenant.tested", tenant, reason=f"Another past {number}")

    assert verified(tenant).faults == []
    assert verified(tenant, signed).faults[0].seq == ENTRIES


def test_a_chain_that_is_gone_as_a_whole_is_found_against_a_head_signed_earlier(tenant):
    signed = verified(tenant).heads
    with as_an_intruder() as cursor:
        cursor.execute("DELETE FROM tenants_auditentry WHERE tenant_id = %s", [tenant.pk])
        cursor.execute("DELETE FROM tenants_auditchain WHERE tenant_id = %s", [tenant.pk])

    assert verified(tenant).faults == []
    assert verified(tenant, signed).faults[0].seq == 1


def test_entries_moved_to_another_tenants_chain_are_found(tenant):
    with as_an_intruder() as cursor:
        cursor.execute("DELETE FROM tenants_auditentry WHERE tenant_id IS NULL")
        cursor.execute("UPDATE tenants_auditentry SET tenant_id = NULL WHERE tenant_id = %s", [tenant.pk])

    assert verified(None).faults[0].seq == 1


def test_a_row_behind_the_first_broken_one_is_looked_at_too(tenant):
    with as_an_intruder() as cursor:
        for seq in (3, 6):
            cursor.execute(
                "UPDATE tenants_auditentry SET reason = 'x' WHERE tenant_id = %s AND seq = %s", [tenant.pk, seq]
            )

    report = verified(tenant)
    assert ([fault.seq for fault in report.faults], report.further) == ([3], 1)
    with as_an_intruder() as cursor:
        cursor.execute("DELETE FROM tenants_auditentry WHERE tenant_id = %s AND seq IN (4, 8)", [tenant.pk])
    report = verified(tenant)
    assert ([fault.seq for fault in report.faults], report.further) == ([3], 3)


# --- The command --------------------------------------------------------------------------------------------


def test_the_command_signs_its_head_and_finds_a_cut_tail_against_it(tenant, tmp_path, capsys):
    head = tmp_path / "head.json"
    call_command("verify_audit", head=head)
    said = capsys.readouterr().out
    assert "The audit holds" in said
    assert "No head signed earlier was given, so a cut tail would not show." in said

    audit.record(SYSTEM, "tenant.tested", tenant)
    call_command("verify_audit", head=head)
    assert "cut tail would not show" not in capsys.readouterr().out
    before = head.read_text()

    cut_at = ENTRIES + 1
    with as_an_intruder() as cursor:
        cursor.execute("DELETE FROM tenants_auditentry WHERE tenant_id = %s AND seq = %s", [tenant.pk, cut_at])
        kept = row(tenant, ENTRIES)
        cursor.execute("UPDATE tenants_auditchain SET seq = %s, hash = %s WHERE tenant_id = %s",
                       [kept.seq, bytes(kept.hash), tenant.pk])  # fmt: skip
    with pytest.raises(CommandError, match=f"tenant {tenant.pk}, the tail is cut off after entry {ENTRIES}"):
        call_command("verify_audit", head=head)
    assert head.read_text() == before


def test_one_tenants_verification_keeps_the_other_heads(tenant, tmp_path):
    other, head = factories.tenant(), tmp_path / "head.json"
    audit.record(SYSTEM, "tenant.tested", other)
    call_command("verify_audit", head=head)
    call_command("verify_audit", tenant=tenant.slug, head=head)

    kept = {signed.tenant_id for signed in chain.read_signed(audit.keys(), head.read_text())}
    assert {tenant.pk, other.pk} <= kept


@pytest.mark.parametrize("text", ["", "{}", "[]", "null", "{", '{"signature": 5}'])
def test_what_is_no_head_is_refused(tenant, tmp_path, text):
    (tmp_path / "head.json").write_text(text)
    with pytest.raises(CommandError, match="no signed head"):
        call_command("verify_audit", head=tmp_path / "head.json")


def test_a_changed_head_is_refused(tenant, tmp_path):
    head = tmp_path / "head.json"
    call_command("verify_audit", head=head)
    said = json.loads(head.read_text())
    said["heads"][-1]["seq"] -= 1
    head.write_text(json.dumps(said))
    with pytest.raises(CommandError, match="signature of the head does not hold"):
        call_command("verify_audit", head=head)


def test_the_export_has_every_entry_and_a_signature_over_them(tenant, tmp_path, capsys):
    export = tmp_path / "audit.jsonl"
    call_command("verify_audit", export=export, json=True)

    *lines, last = export.read_text().splitlines(keepends=True)
    entries, said = [json.loads(line) for line in lines], json.loads(last)
    assert len(entries) == said["entries"] == json.loads(capsys.readouterr().out)["entries"] >= ENTRIES
    assert said["sha256"] == hashlib.sha256("".join(lines).encode()).hexdigest()
    assert chain.read_signed(audit.keys(), last)
    assert [entry["reason"] for entry in entries if entry["tenant_id"] == tenant.pk][-1].startswith("Number")


def test_somebody_with_one_tenant_verifies_only_its_chain(tenant):
    auditor = of_grants("user", "auditor", [(tenant.pk, "auditor")], user_id=1)
    assert verifying.chains_of(auditor) == [tenant.pk]


# --- What is written ------------------------------------------------------------------------------------------


def test_an_address_in_a_reason_is_kept_as_a_keyed_hash(tenant):
    audit.record(
        SYSTEM, "tenant.tested", tenant, reason="Asked by Ann.Lee@Example.com, twice", person="ann.lee@example.com"
    )
    entry = AuditEntry.objects.filter(tenant=tenant).first()

    assert "ann" not in (entry.reason + json.dumps(entry.facts)).lower()
    hashed = entry.facts["person"]
    assert hashed.startswith("[address ")
    assert entry.reason == f"Asked by {hashed}, twice"
    assert verified(tenant).holds


@pytest.mark.parametrize(
    "reason", ["nul \0 in it", "line\nbreak\r\n", "\x1b[31mred", "\ud800 half", "1 + 1", "\u202eback", "🙂"]
)
def test_whatever_a_reason_holds_the_chain_verifies(tenant, reason):
    audit.record(
        SYSTEM,
        "tenant.tested",
        tenant,
        reason=reason,
        before=reason,
        after=[reason, 2**60, None, True],
        x={"y": reason},
    )
    assert verified(tenant).holds


@pytest.mark.parametrize(
    ("name", "text"),
    [("at", '"infinity"'), ("at", '"20000-01-01T00:00:00Z"'), ("at", '"0044-03-15 BC"'), ("facts", '{"n": 1e6000}'),
     ("facts", "[" * 3000 + "]" * 3000), ("before", '{"n": 1e400}'), ("after", "[" * 3000 + "]" * 3000)],
)  # fmt: skip
def test_a_row_put_in_that_python_can_not_read_is_named_and_stops_nobody_from_reading_on(tenant, tmp_path, name, text):
    export = tmp_path / "audit.jsonl"
    with connection.cursor() as cursor:
        cursor.execute("SELECT seq, at FROM app_audit_head(%s)", [tenant.pk])
        seq, at = cursor.fetchone()
        forged = {"tenant_id": tenant.pk, "seq": seq + 1, "at": at.isoformat(), "action": "tenant.praised",
                  "actor_kind": "user", "actor_name": "", "subject": "tenants.Tenant", "reason": "", "facts": {},
                  "ip": "", "request_id": "", "via": ""}  # fmt: skip
        written = json.dumps(forged | {name: "HERE"}).replace('"HERE"', text)
        cursor.execute("SELECT app_audit_append(%s, %s)", [written, b"x" * 32])
        forged_id = cursor.fetchone()[0]
    audit.record(SYSTEM, "tenant.tested", tenant)

    with pytest.raises(CommandError, match=f"entry {ENTRIES + 1} is not what was written.*row {forged_id}"):
        call_command("verify_audit", export=export)
    assert len(export.read_text().splitlines()) == AuditEntry.objects.count() + 1


def test_a_tenant_that_is_gone_with_its_chain_is_found_against_a_head_signed_earlier(tenant, tmp_path):
    head = tmp_path / "head"
    gone = chain.Head(tenant.pk + 1000, 3, b"h" * 32)
    head.write_text(chain.sign(audit.keys(), [gone], at=row(tenant, 1).at))

    with pytest.raises(CommandError, match=f"the chain of tenant {gone.tenant_id}, the tail is cut off after entry 0"):
        call_command("verify_audit", head=head)
    call_command("verify_audit", head=head, tenant=tenant.slug)
    assert gone in chain.read_signed(audit.keys(), head.read_text())


@pytest.mark.parametrize("content", [b"\x92\xff\x00", b"[" * 200_000, b'{"signature": 1}', b"9" * 5000])
def test_what_is_no_signed_head_is_refused_and_left_as_it_is(tenant, tmp_path, content):
    head = tmp_path / "head"
    head.write_bytes(content)
    with pytest.raises(CommandError, match="no signed head"):
        call_command("verify_audit", head=head)
    assert head.read_bytes() == content


@pytest.mark.parametrize("option", ["head", "export"])
@pytest.mark.parametrize("place", ["", "/", ".", "pipe", "directory", "no/such/place", "a\0b", "\ud800"])
def test_only_a_file_is_put_in_a_files_place(tenant, tmp_path, monkeypatch, option, place):
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe")
    os.mkdir("directory")
    with pytest.raises(CommandError):
        call_command("verify_audit", f"--{option}={place}")
    assert sorted(os.listdir()) == ["directory", "pipe"]
    assert stat.S_ISFIFO(os.stat("pipe").st_mode)
