"""A whole import of mailboxes or sending domains taken back, row by row, in one transaction."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from django.db import IntegrityError, connection
from django.utils import timezone

from mailboxes import acts
from mailboxes.models import Import, ImportedRow, Mailbox, Pool, ProviderAccount, RampDay, RampPlan, SendingDomain
from mailboxes.models.imports import PASSWORD_BEFORE
from mailboxes.models.mailboxes import MAILBOX_PASSWORD
from mailboxes.services import import_sql, ramp, undo, undo_domains
from outreach.common import hooks, repeating
from outreach.common.errors import BadInput, InvalidMove, Missing
from outreach.common.sealing import SealBroken
from tenants.models import ApprovalPolicy, Tenant
from tenants.services import approvals, audit, file_imports, sealing
from tenants.services.actors import Actor

MADE: dict[str, Any] = {"pools": Pool, "domains": SendingDomain, "accounts": ProviderAccount, "plans": RampPlan}
NAMED = 20  # rows that stand in a refusal's sentence; its details have all
COUNTING = ("failures", "state_reason")  # what sending goes on counting
RESTORED = [*(name.removesuffix("_id") for name in (*undo.KEPT, *undo.RAMP)), "sealed_password"]


def find(tenant: Tenant, number: int) -> Import:
    """The tenant's import of that number. Raises Missing."""
    found = Import.objects.filter(tenant=tenant, pk=number).first()
    if found is None:
        raise Missing(f"There is no import {number} of {tenant}.")
    return found


def unsaved(
    tenant: Tenant, path: Path | str, source: str, columns: dict[str, str], *, actor: Actor, kind: str
) -> Import:
    """The import of that file, which the caller saves."""
    return Import(tenant=tenant, kind=kind, **file_imports.facts(path, source, columns, actor=actor))


def columns_of(tenant: Tenant, source: str, kind: str = Import.Kind.MAILBOXES) -> dict[str, str]:
    """The mapping that the last import of that source and kind used."""
    return file_imports.columns_of(Import.objects.filter(tenant=tenant, kind=kind), source)


@repeating.atomic
def roll_back(done: Import, *, actor: Actor, reason: str = "") -> Import:
    """Give every mailbox that the import changed back what it had before, and end the ones that it made.

    A new mailbox that nothing refers to is deleted with what was made for it, so that its address may come again;
    any other is retired, since its mail needs it. State, health and counters that sending changed stay.
    Raises InvalidMove, with all rows in its details, when one of them was changed since: then nothing is undone.
    """
    actor.require("mailboxes.import", done)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended('import mailboxes', %s))", [done.tenant_id])
    done = Import.objects.select_for_update(no_key=True).get(pk=done.pk)
    done.move_to(Import.State.ROLLED_BACK)
    if done.undo_until is None:
        raise InvalidMove(f"What could undo import {done.pk} was deleted after {file_imports.UNDO_DAYS} days.")
    if done.kind == Import.Kind.DOMAINS:
        return _rolled_back(done, actor, reason, **undo_domains.restore(done))
    rows = list(done.rows.order_by("mailbox_ref"))
    if any(row.is_new for row in rows):
        actor.require("mailboxes.quarantine", done)
        actor.require("mailboxes.release", done)  # who may not put one back may not end one either
    refs = [row.ref for row in rows]
    found = Mailbox.objects.filter(tenant=done.tenant_id, pk__in=refs).order_by("pk").select_for_update(no_key=True)
    boxes = {box.pk: box for box in found}
    _refuse_changed(done, rows, boxes)
    withdrawn, capped = _restore([row for row in rows if not row.is_new], boxes)
    _forget_starts(done, rows)
    _restore_readers(done)
    new = [boxes[row.ref] for row in rows if row.is_new]
    retired = _end(done, new)
    if withdrawn or retired:
        hooks.call("mailboxes.withdrawn", mailbox_ids=sorted(withdrawn + retired), reason="import rolled back")
    if capped:
        hooks.call("mailboxes.cap_lowered", mailbox_ids=sorted(capped), reason="import rolled back")
    done.rows.update(sealed_before=b"")
    return _rolled_back(
        done, actor, reason, restored=len(rows) - len(new), deleted=len(new) - len(retired), retired=len(retired)
    )


def _rolled_back(done: Import, actor: Actor, reason: str, **counts: int) -> Import:
    done.rolled_back_at, done.undo_until = timezone.now(), None
    done.save(update_fields=["state", "rolled_back_at", "undo_until"])
    audit.record(actor, "import.rolled_back", done, reason=reason, **counts)
    return done


def _refuse_changed(done: Import, rows: Sequence[ImportedRow], boxes: dict[int, Mailbox]) -> None:
    """Raise InvalidMove that names the mailboxes which are not as the import left them, and by which import."""
    policy = approvals.policy_of(done.tenant_id)
    wrong: dict[int, list[str]] = {}
    for row in rows:
        box = boxes.get(row.ref)
        if box is None or box.state == Mailbox.State.RETIRED:
            wrong[row.ref] = ["the mailbox" if box is None else "state"]
            continue
        left = undo.image(box) | row.after  # columns that imports did not know then count as unchanged
        names = [undo.SHOWN.get(name, name) for name in undo.COMPARED if getattr(box, name) != left[name]]
        if bytes(row.digest_after) != undo.digest(box):
            names.append("smtp_password")
        if "ramp_id" in row.after and box.ramp_id != row.after["ramp_id"]:
            names.append("ramp")
        if not names and not row.is_new and _leaves_early(policy, box, row.before):
            names.append("ramp (leaving it early needs a second person)")
        if not names and not row.is_new and acts.raised_cap(policy, box, daily_cap=row.before["daily_cap"]) is not None:
            names.append("daily_cap (going back is a raise that needs a second person)")
        if names:
            wrong[row.ref] = names
    if not wrong:
        return
    later: dict[int, str] = {}
    others = ImportedRow.objects.filter(
        tenant=done.tenant_id, mailbox_ref__in=wrong, of__gt=done.pk, of__state=Import.State.DONE
    )
    for ref, number, name in others.order_by("of").values_list("mailbox_ref", "of", "of__file_name"):
        later.setdefault(ref or 0, f" by import {number} ({name})")
    lines = {row.ref: row.line for row in rows}
    told = [
        f"line {lines[ref]}, {boxes.get(ref) or f'mailbox {ref}'}: {', '.join(names)}{later.get(ref, '')}"
        for ref, names in sorted(wrong.items(), key=lambda entry: lines[entry[0]])
    ]
    more = f"; and {len(told) - NAMED:,} more" if len(told) > NAMED else ""
    raise InvalidMove(
        f"Import {done.pk} can't be rolled back, since these were changed since: {'; '.join(told[:NAMED])}{more}.",
        rows=told,
    )


def _leaves_early(policy: ApprovalPolicy, box: Mailbox, before: dict[str, Any]) -> bool:
    """Whether going back takes the mailbox off a ramp in a way that one person alone may not."""
    if before.get("ramp_id", box.ramp_id) is not None:
        return False
    then = copy.copy(box)
    then.daily_cap = before["daily_cap"]
    return acts.left_ramp(policy, then) is not None


def _restore(rows: Iterable[ImportedRow], boxes: dict[int, Mailbox]) -> tuple[list[int], list[int]]:
    """Write what stood there before; return the mailboxes that are held again, and those with a lower cap."""
    keyring = sealing.keyring()
    changed, withdrawn, capped = [], [], []
    for row in rows:
        box = boxes[row.ref]
        if row.before["daily_cap"] < box.daily_cap:
            capped.append(box.pk)
        was_held = row.before["hold"] != box.hold
        if was_held:
            withdrawn.append(box.pk)
        for name, value in row.before.items():
            if name not in undo.RAMP and (was_held or name not in COUNTING):
                setattr(box, name, value)
        if "ramp_id" in row.before:
            _take_off(box, row.before)
        if "password" in row.after:
            box.sealed_password = b""
            if row.sealed_before:
                try:
                    place = PASSWORD_BEFORE.place(row.tenant_id, row.seal_ref)
                    password = keyring.open(bytes(row.sealed_before), place)
                except SealBroken as error:
                    raise InvalidMove(f"The former password of {box} can't be opened: {error}") from error
                box.sealed_password = keyring.seal(password, MAILBOX_PASSWORD.place(box.tenant_id, box.seal_ref))
        changed.append(box)
    try:
        import_sql.update(changed, RESTORED)
    except IntegrityError as error:
        raise InvalidMove("A pool or an account of before is gone, so this import can't be rolled back.") from error
    return withdrawn, capped


def _take_off(box: Mailbox, before: dict[str, Any]) -> None:
    """Back to the ramp, or to none, of before; a cap that days on a ramp have decided since stays with a former one."""
    if before["ramp_id"] is None:
        box.ramp_cap = None
    if box.state in (Mailbox.State.RAMPING, Mailbox.State.ACTIVE):  # others are judged, and stay
        box.state = before["state"]
    box.ramp_id = before["ramp_id"]


def _forget_starts(done: Import, rows: Iterable[ImportedRow]) -> None:
    """The notes that a ramp began which never was, where no day of it followed."""
    refs = [row.ref for row in rows if row.before.get("ramp_id", 0) is None]
    if refs:
        day = ramp.day_of(Tenant.objects.get(pk=done.tenant_id), done.created_at)
        RampDay.objects.filter(mailbox__in=refs, day=day, kind=RampDay.Kind.START).delete()


def _restore_readers(done: Import) -> None:
    """Give accounts back where their mailboxes were read before. Raises InvalidMove."""
    for pk, host, port, new_host, new_port in done.made.get("readers", []):
        account = ProviderAccount.objects.filter(tenant=done.tenant_id, pk=pk).select_for_update(no_key=True).first()
        if account is None or (account.imap_host, account.imap_port) != (new_host, new_port):
            raise InvalidMove(f"Import {done.pk} can't be rolled back: {account or pk} is read elsewhere since then.")
        account.imap_host, account.imap_port = host, port
        account.save(update_fields=["imap_host", "imap_port"])


def _end(done: Import, new: Sequence[Mailbox]) -> list[int]:
    """Delete the new mailboxes that nothing refers to, and what was made for them; retire the others."""
    ids = [box.pk for box in new]
    needed = undo.referred_to(Mailbox, ids)
    unused = [pk for pk in ids if pk not in needed]
    retired = sorted(needed)
    try:
        for notes in undo.NOTES:
            notes.objects.filter(mailbox__in=unused).delete()
        Mailbox.objects.filter(pk__in=unused).delete()
        for kind, model in MADE.items():
            made = done.made.get(kind, [])
            model.objects.filter(tenant=done.tenant_id, pk__in=set(made) - undo.referred_to(model, made)).delete()
    except IntegrityError as error:
        raise BadInput("One of the new mailboxes got its first mail just now. Try again.") from error
    Mailbox.objects.filter(pk__in=retired).update(
        state=Mailbox.State.RETIRED, state_reason=f"Import {done.pk} was rolled back"
    )
    return retired
