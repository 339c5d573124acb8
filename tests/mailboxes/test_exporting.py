"""The fleet as a file: no secret in it, no cell that runs, and importing it again changes nothing."""

from __future__ import annotations

import csv
import io
import json
import stat

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from mailboxes.models import Mailbox, ProviderAccount, RampPlan
from mailboxes.services import exporting, ramp
from outreach.common import csv_files, formulas, isolation
from outreach.common.errors import BadInput, NeedsApproval, NotAllowed
from tenants import permissions
from tenants.models import Approval, ApprovalPolicy, AuditEntry
from tenants.services import approvals
from tenants.services.actors import SYSTEM, Actor
from tests import factories
from tests.campaigns.test_exporting import HOSTILE
from tests.mailboxes.editing.conftest import stored
from tests.mailboxes.importing.files import run
from tests.tenants.approvals.cases import somebody

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _loopback(settings):
    settings.SMTP_ALLOW_LOOPBACK = True


@pytest.fixture
def tenant():
    return factories.tenant()


def hostile(i: int) -> dict[str, str]:
    return {"display_name": HOSTILE[i].strip(), "signature": f"{HOSTILE[i].strip()}\n{HOSTILE[i].strip()}"}


def odd_fleet(tenant) -> list[Mailbox]:
    """Names and signatures that a spreadsheet would run, tags, a reserve, and one without password or user name."""
    boxes = factories.fleet(
        tenant, len(HOSTILE), pool=factories.pool(tenant, name="=cmd|'/C calc'!A0"), each=hostile, tags=["a b", "c"]
    )
    Mailbox.objects.filter(pk=boxes[0].pk).update(state="reserve", tags=[])
    Mailbox.objects.filter(pk=boxes[1].pk).update(sealed_password=b"", username="")
    ramp.start_ramp(boxes[2], ramp.add_plan(tenant, "slow", actor=SYSTEM), actor=SYSTEM)
    gone = ramp.add_plan(tenant, "out of use", actor=SYSTEM)
    ramp.start_ramp(boxes[3], gone, actor=SYSTEM)
    RampPlan.objects.filter(pk=gone.pk).update(archived_at=timezone.now())
    ProviderAccount.objects.filter(pk=boxes[0].home_id).update(imap_host="127.0.0.1", imap_port=993)
    return boxes


@pytest.mark.attack("A24", "A34")
@pytest.mark.parametrize("kind", exporting.KINDS)
def test_importing_the_file_again_changes_nothing(tenant, tmp_path, kind):
    boxes = odd_fleet(tenant)
    before = stored(boxes)
    path = tmp_path / f"fleet.{kind}"
    path.write_bytes(exporting.export_mailboxes(Mailbox.objects.all(), actor=SYSTEM, kind=kind).read())

    report = run(tenant, path)

    assert (report.refusals, report.unchanged, report.updated, report.created) == ([], len(boxes), 0, 0)
    assert stored(boxes) == before


def test_a_fleet_that_moves_keeps_what_the_file_says(tenant, tmp_path):
    boxes = factories.fleet(tenant, 3, each=hostile, tags=["a b", "c"], username="", sealed_password=b"")
    path = tmp_path / "fleet.csv"
    path.write_bytes(exporting.export_mailboxes(Mailbox.objects.all(), actor=SYSTEM).read())
    Mailbox.objects.all().update(display_name="", signature="", tags=[], daily_cap=1)

    assert run(tenant, path).updated == 3

    for i, row in enumerate(stored(boxes)):
        assert {name: row[name] for name in ("display_name", "signature")} == hostile(i)
        assert (row["tags"], row["daily_cap"]) == (["a b", "c"], 1000)


@pytest.mark.attack("A24")
def test_no_cell_runs_and_no_secret_is_there(tenant):
    boxes = odd_fleet(tenant)
    with exporting.export_mailboxes(Mailbox.objects.all(), actor=SYSTEM) as file:
        raw = file.read()
    header, *rows = csv.reader(io.StringIO(raw.decode("utf-8-sig"), newline=""))

    assert header == [
        "address", "pool", "smtp_host", "smtp_port", "smtp_security", "display_name", "reserve", "smtp_username",
        "daily_cap", "min_gap_seconds", "tags", "signature", "ramp", "imap_host", "imap_port",
    ]  # fmt: skip
    assert [cell for row in rows for cell in row if formulas.found(cell)] == []
    assert factories.PASSWORD.encode() not in raw
    for box in boxes:
        sealed = bytes(box.sealed_password)
        assert sealed not in raw
        assert sealed.hex().encode() not in raw
    assert [row[6] for row in rows] == ["yes"] + ["no"] * (len(boxes) - 1)
    assert rows[2][10] == "a b; c"
    assert [row[12] for row in rows] == ["", "", "slow"] + [""] * (len(boxes) - 3)
    assert {tuple(row[13:]) for row in rows} == {("127.0.0.1", "993")}


def test_retired_mailboxes_and_those_of_others_are_left_out(tenant):
    boxes = factories.fleet(tenant, 2)
    factories.fleet(factories.tenant(), 2)
    Mailbox.objects.filter(pk=boxes[0].pk).update(state="retired")
    manager = Actor("user", "m", within={tenant.pk: permissions.ROLES["ops_manager"]}, user_id=1)

    with exporting.export_mailboxes(Mailbox.objects.all(), actor=manager) as file:
        lines = file.read().decode("utf-8-sig").splitlines()

    assert len(lines) == 2
    assert boxes[1].address in lines[1]
    entry = AuditEntry.objects.get(action="mailboxes.exported")
    assert (entry.tenant_id, entry.facts) == (tenant.pk, {"rows": 1})


@pytest.mark.parametrize("role", ["operator", "analyst", "client_key"])
def test_who_may_not_export_gets_no_file(tenant, role):
    factories.fleet(tenant, 1)
    with pytest.raises(NotAllowed):
        exporting.export_mailboxes(
            Mailbox.objects.all(), actor=Actor("user", "x", within={tenant.pk: permissions.ROLES[role]}, user_id=1)
        )
    assert not AuditEntry.objects.exists()


def test_more_rows_than_the_line_wait_for_a_second_person(tenant):
    ApprovalPolicy.objects.filter(tenant=tenant).update(export_above=2)
    factories.fleet(tenant, 3)
    first, second = somebody(tenant), somebody(tenant)
    with pytest.raises(NeedsApproval) as refused:
        exporting.export_mailboxes(Mailbox.objects.all(), actor=first)
    assert not AuditEntry.objects.filter(action="mailboxes.exported").exists()
    approvals.grant(approvals.ask_for(refused.value, actor=first, reason="The auditor"), actor=second)

    exporting.export_mailboxes(Mailbox.objects.all(), actor=first).close()

    assert AuditEntry.objects.get(action="mailboxes.exported").facts == {
        "rows": 3,
        "approval": Approval.objects.get().pk,
    }
    with pytest.raises(NeedsApproval):
        exporting.export_mailboxes(Mailbox.objects.all(), actor=first)


def test_more_rows_than_one_file_takes_are_refused(tenant, monkeypatch):
    monkeypatch.setattr(csv_files, "LIMIT", 2)
    factories.fleet(tenant, 3)
    with pytest.raises(BadInput, match="more than 2 rows"):
        exporting.export_mailboxes(Mailbox.objects.all(), actor=SYSTEM)


# --- The command ----------------------------------------------------------------------------------------------


def exported(*arguments: str) -> str:
    out = io.StringIO()
    call_command("export_mailboxes", *arguments, stdout=out)
    return out.getvalue()


@pytest.mark.parametrize("name", ["fleet.csv", "fleet.jsonl"])
def test_the_command_writes_a_file_for_its_owner_alone(tenant, tmp_path, name):
    boxes = factories.fleet(tenant, 3, tags=["warm"])
    Mailbox.objects.filter(pk=boxes[0].pk).update(tags=[])
    path = tmp_path / name

    said = exported(str(path), "--tenant", tenant.slug, "--tag", "Warm", "--json")

    assert json.loads(said) == {"file": str(path), "rows": 2}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with isolation.everything():
        assert run(tenant, path).unchanged == 2


@pytest.mark.parametrize(
    ("name", "more", "says"),
    [
        ("fleet.csv", ["--pool", "nowhere"], "has no pool"), ("fleet.xlsx", [], "csv or jsonl"),
        ("no/such/fleet.csv", [], "can't be written"), ("there.csv", [], "is there already"),
        ("a\x00.csv", [], "null"), ("fleet.csv", ["--tag", "\x00"], "is no tag"),
        ("fleet.csv", ["--address", "nobody@nowhere.example"], "has no mailbox"),
    ],
)  # fmt: skip
def test_the_command_refuses_and_leaves_no_file(tenant, tmp_path, name, more, says):
    factories.fleet(tenant, 1)
    (tmp_path / "there.csv").write_text("mine")

    with pytest.raises(CommandError, match=says):
        exported(str(tmp_path / name), "--tenant", tenant.slug, *more)

    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("there.csv", "mine")]
