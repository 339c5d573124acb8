"""Many mailboxes changed at once: a draft to look at, the act in one transaction, and its undoing.

Raises and the rest are decided by mailboxes.edits, for the preview and for the act alike.
Why so: outreach/decisions/0034-bulk-edits.md.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from django.db import IntegrityError, connection, transaction
from django.db.models.functions import Now
from django.utils import timezone

from mailboxes import acts, edits
from mailboxes.edits import Change, Difference, Wish
from mailboxes.models import BulkEdit, BulkEditRow, Mailbox, Pool, RampDay, RampPlan
from mailboxes.services import ramp
from outreach.common import hooks, repeating
from outreach.common.errors import BadInput, InvalidMove, Missing
from tenants.models import Tenant
from tenants.services import approvals, audit, file_imports
from tenants.services.actors import Actor

PERMISSION = "mailboxes.edit"
MOST = 5_000  # mailboxes of one edit: a page that people can still look through
# What needs a right of its own for one mailbox needs it for many.
ALSO = {"daily_cap": "mailboxes.set_cap", "ramp": "mailboxes.ramp", "leave_ramp": "mailboxes.ramp"}

WRITE = """
UPDATE mailboxes_mailbox b
SET pool_id = made.pool_id, daily_cap = made.daily_cap, ramp_id = made.ramp_id, ramp_cap = made.ramp_cap,
    state = made.state, tags = made.tags, signature = made.signature, weight = made.weight,
    min_gap_seconds = made.min_gap_seconds, reserve_share = made.reserve_share
FROM jsonb_to_recordset(%(rows)s::jsonb) AS made (
    id bigint, pool_id bigint, daily_cap int, ramp_id bigint, ramp_cap int, state text, tags text[], signature text,
    weight float8, min_gap_seconds int, reserve_share float8
)
WHERE b.id = made.id AND b.tenant_id = %(tenant)s"""


def find(tenant: Tenant, number: int) -> BulkEdit:
    """The tenant's edit of that number. Raises Missing."""
    found = BulkEdit.objects.filter(tenant=tenant, pk=number).first()
    if found is None:
        raise Missing(f"There is no edit {number} of {tenant}.")
    return found


@transaction.atomic
def draft(tenant: Tenant, mailbox_ids: Iterable[int], wish: Wish, *, actor: Actor) -> BulkEdit:
    """Write down what is wished for these mailboxes, and change none. Ids that are not the tenant's are left out.

    The same wish of the same actor is the same draft, so that what a second person agreed to is found again.

    Raises NotAllowed, and BadInput that names the field.
    """
    _require(actor, tenant, wish)
    wanted = sorted(set(mailbox_ids))
    if len(wanted) > MOST:
        raise BadInput(f"These are {len(wanted):,} mailboxes; at most {MOST:,} are edited at once.", field="")
    ids = list(Mailbox.objects.filter(tenant=tenant, pk__in=wanted).order_by("pk").values_list("pk", flat=True))
    if not ids:
        raise BadInput("Choose at least one mailbox.", field="")
    _check_targets(tenant.pk, wish)
    same = BulkEdit.objects.filter(
        tenant=tenant, state=BulkEdit.State.DRAFT, wish=wish.as_json(), mailbox_ids=ids, by_kind=actor.kind,
        by_user=actor.user_id, by_key_id=actor.key_id,
    ).first()  # fmt: skip
    if same is not None:
        return same
    made = BulkEdit.objects.create(
        tenant=tenant, wish=wish.as_json(), mailbox_ids=ids, by_kind=actor.kind, by_user_id=actor.user_id,
        by_key_id=actor.key_id, undo_until=file_imports.undo_until(),
    )  # fmt: skip
    audit.record(actor, "mailbox_edit.drafted", made, fields=sorted(made.wish), mailboxes=len(ids))
    return made


def preview(edit: BulkEdit) -> Difference:
    """What applying a draft would do now, or undoing an edit that was done; with the mail that would be taken back."""
    found = acts.difference(edit, approvals.policy_of(edit.tenant_id).cap_above, _boxes(edit))
    counts = _waiting(found)
    found.waiting = counts.total()
    return found


@repeating.atomic
def apply(edit: BulkEdit, *, actor: Actor, digest: str, approval: int | None = None) -> BulkEdit:
    """Do what the draft says, to all mailboxes that it is possible for, or to none.

    `digest` is that of the difference that was looked at. Raises InvalidMove when it would be another one now, or when
    nothing would change; NeedsApproval for raises beyond the tenant's line.
    """
    _require(actor, edit, edit.wanted)
    edit = _locked(edit, BulkEdit.State.DONE)
    _check_targets(edit.tenant_id, edit.wanted)
    found = _found(edit)
    if found.digest != digest:
        raise InvalidMove(
            "These mailboxes are no longer as they were when you looked. Look at the difference again.", stale=True
        )
    if not found.changes:
        raise InvalidMove("Nothing would change.")
    used = approvals.require(actor, acts.BULK_RAISE.name, edit, approval=approval)
    edit.taken_back = _write(edit, found, "bulk edit")
    rows = [
        BulkEditRow(
            tenant_id=edit.tenant_id, of=edit, mailbox_ref=each.mailbox_id, before=_kept(each), after=each.after
        )
        for each in found.changes
    ]
    rows += [
        BulkEditRow(tenant_id=edit.tenant_id, of=edit, mailbox_ref=each.mailbox_id, refused=each.reason[:200])
        for each in found.refused
    ]
    BulkEditRow.objects.bulk_create(rows, batch_size=2_000)
    edit.changed, edit.unchanged, edit.refused = len(found.changes), found.unchanged, len(found.refused)
    edit.move_to(BulkEdit.State.DONE)
    edit.done_at, edit.undo_until = timezone.now(), file_imports.undo_until()
    edit.save()
    _record(edit, "mailboxes.edited", actor, found, approval=used and used.pk)
    return edit


@repeating.atomic
def undo_edit(
    edit: BulkEdit, *, actor: Actor, digest: str = "", reason: str = "", approval: int | None = None
) -> BulkEdit:
    """Give every mailbox back what the edit changed; one that was changed since keeps what it has, and says so.

    A `digest`, if there is one, has to be that of the difference that was looked at. Raises InvalidMove when nothing
    can go back; NeedsApproval when going back raises beyond the tenant's line.
    """
    _require(actor, edit, edit.wanted)
    edit = _locked(edit, BulkEdit.State.UNDONE)
    if edit.undo_until is None:
        raise InvalidMove(f"What could undo {edit} was deleted after {file_imports.UNDO_DAYS} days.")
    found = _found(edit)
    if digest and found.digest != digest:
        raise InvalidMove(
            "These mailboxes are no longer as they were when you looked. Look at the difference again.", stale=True
        )
    if not found.changes:
        told = "; ".join(f"{each.address} {each.reason}" for each in found.refused[:5])
        raise InvalidMove(f"Nothing of {edit} can be undone. {told}".strip())
    used = approvals.require(actor, acts.BULK_RAISE.name, edit, approval=approval)
    edit.taken_back = _write(edit, found, "bulk edit undone")
    reasons = {each.mailbox_id: each.reason[:200] for each in found.refused}
    left = list(edit.rows.filter(mailbox_ref__in=list(reasons)))
    for row in left:
        row.kept = reasons[row.mailbox_ref]
    BulkEditRow.objects.bulk_update(left, ["kept"], batch_size=1_000)
    edit.move_to(BulkEdit.State.UNDONE)
    edit.kept, edit.undone_at, edit.undo_until = len(left), timezone.now(), None
    edit.save()
    _record(edit, "mailboxes.edit_undone", actor, found, reason=reason, approval=used and used.pk)
    return edit


def forget(tenant_id: int) -> int:
    """Delete drafts that nobody applied, and the rows that could undo old edits; return how many edits that were."""
    old = BulkEdit.objects.filter(tenant=tenant_id, undo_until__lte=timezone.now())
    ids = list(old.values_list("pk", flat=True))
    if ids:
        BulkEditRow.objects.filter(tenant=tenant_id, of__in=ids).delete()
        BulkEdit.objects.filter(pk__in=ids, state=BulkEdit.State.DRAFT).delete()
        BulkEdit.objects.filter(pk__in=ids).update(undo_until=None)
    return len(ids)


def _require(actor: Actor, subject: Any, wish: Wish) -> None:
    actor.require(PERMISSION, subject)
    for name in wish.as_json():
        if name in ALSO:
            actor.require(ALSO[name], subject)


def _check_targets(tenant_id: int, wish: Wish) -> None:
    """Raise BadInput where pool or plan is another tenant's or no longer in use."""
    if wish.pool is not None and not Pool.objects.filter(tenant=tenant_id, pk=wish.pool, archived_at=None).exists():
        raise BadInput("The pool is another tenant's, or no longer in use.", field="pool")
    if wish.ramp is not None and not RampPlan.objects.filter(tenant=tenant_id, pk=wish.ramp, archived_at=None).exists():
        raise BadInput("The plan is another tenant's, or no longer in use.", field="ramp")


def _locked(edit: BulkEdit, target: str) -> BulkEdit:
    """The edit, if it may become that; the tenant's row before any mailbox, as everywhere. Raises InvalidMove.

    Imports lock their mailboxes chunk by chunk and not in the order of ids, so only one of both runs at a time.
    """
    Tenant.objects.select_for_update(no_key=True).get(pk=edit.tenant_id)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended('import mailboxes', %s))", [edit.tenant_id])
    edit = BulkEdit.objects.select_for_update(no_key=True).get(pk=edit.pk)
    if target not in edit.MOVES[edit.state]:
        edit.move_to(target)  # which says why not; until the end the state says what is to be done
    return edit


def _boxes(edit: BulkEdit) -> list[Mailbox]:
    return list(Mailbox.objects.filter(tenant=edit.tenant_id, pk__in=edit.mailbox_ids).order_by("pk"))


def _found(edit: BulkEdit) -> Difference:
    """The difference, with the mailboxes locked in the order of their ids."""
    ids = Mailbox.objects.filter(tenant=edit.tenant_id, pk__in=edit.mailbox_ids).order_by("pk")
    list(ids.select_for_update(no_key=True).values_list("pk"))
    # Read only now: what a stop committed while we waited for the lock must not be written back.
    return acts.difference(edit, approvals.policy_of(edit.tenant_id).cap_above, _boxes(edit))


def _write(edit: BulkEdit, found: Difference, reason: str) -> int:
    """Write the images; return how many messages that takes back."""
    boxes = {box.pk: box for box in _boxes(edit)}
    rows = [{"id": each.mailbox_id, **edits.image(boxes[each.mailbox_id]), **each.after} for each in found.changes]
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(WRITE, {"rows": json.dumps(rows), "tenant": edit.tenant_id})
    except IntegrityError as error:
        raise InvalidMove("A pool or a ramp plan that this leads to is gone.") from error
    _note_starts(edit, found.changes, boxes)
    taken_back = _waiting(found).total()
    if found.lowered:
        hooks.call("mailboxes.cap_lowered", mailbox_ids=found.lowered, reason=reason)
    if found.moved:
        hooks.call("mailboxes.moved", mailbox_ids=found.moved, reason=reason)
    Tenant.objects.filter(pk=edit.tenant_id).update(plan_wanted_at=Now())
    return taken_back


def _note_starts(edit: BulkEdit, changes: Sequence[Change], boxes: dict[int, Mailbox]) -> None:
    """A ramp that begins stands in today's row, so that its job does not decide again."""
    started = [each for each in changes if each.after.get("ramp_id") and each.before.get("ramp_id") is None]
    day = ramp.day_of(edit.tenant)
    RampDay.objects.bulk_create(
        [
            RampDay(
                tenant_id=edit.tenant_id, mailbox_id=each.mailbox_id, day=day, cap=each.after["ramp_cap"],
                allowed=edits.allowed(edits.image(boxes[each.mailbox_id]) | each.after),
                kind=RampDay.Kind.START, reason=RampDay.Reason.STARTED,
            )
            for each in started
        ],
        update_conflicts=True, unique_fields=["mailbox", "day"],
        update_fields=["cap", "allowed", "kind", "reason", "detail", "until"],
    )  # fmt: skip


def _waiting(found: Difference) -> Counter[int]:
    """What waits in the mailboxes from which it would be taken back."""
    counts: Counter[int] = Counter()
    hooks.call("mailboxes.counting_waiting", mailbox_ids=sorted({*found.lowered, *found.moved}), counts=counts)
    return counts


def _kept(change: Change) -> dict[str, Any]:
    return {name: value for name, value in change.before.items() if name in change.after}


def _record(edit: BulkEdit, action: str, actor: Actor, found: Difference, **more: Any) -> None:
    """One entry for all: the fields, and the ids of the mailboxes. Texts that people wrote stay out of the chain."""
    audit.record(
        actor, action, edit,
        fields=sorted({name.removesuffix("_id") for each in found.changes for name in each.after}),
        mailboxes=[each.mailbox_id for each in found.changes],
        refused=len(found.refused),
        taken_back=edit.taken_back,
        **more,
    )  # fmt: skip
