"""Files that people bring in the browser: kept sealed, checked, confirmed and imported by a worker.

The rows are the truth and hints only hints: whoever finds an upload that nobody works on begins it again. Import and
the word that it is done are one transaction, so a worker that dies leaves the upload as it was.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Exists, F, OuterRef, Q, QuerySet
from django.db.models.functions import Now
from django.utils import timezone

from mailboxes.models import SignInTest, Upload, UploadPart
from mailboxes.services import imports, mailbox_rows, upload_boxes
from outreach.common import queues
from outreach.common.errors import BadInput, InvalidMove, Missing
from tenants.models import Tenant
from tenants.services import audit
from tenants.services.actors import Actor

TASK, QUEUE = "mailboxes.tasks.work_on_upload", "bulk"
RING_AGAIN_SECONDS = 30
MOST_ATTEMPTS = 3
State = Upload.State


def limit_bytes() -> int:
    """The largest file that is taken."""
    return settings.UPLOAD_MIB * 2**20


@transaction.atomic
def take(
    tenant: Tenant,
    name: str,
    chunks: Iterable[bytes],
    *,
    actor: Actor,
    source: str = "",
    sheet: str = "",
    ramp: str = "",
    test_sign_in: bool = False,
) -> Upload:
    """Keep a file, sealed, for a worker to check; nothing is imported before somebody confirms it.

    Of `name` only the last part counts. Raises NotAllowed, and BadInput for a file that is empty or too large.
    """
    actor.require("mailboxes.import", tenant)
    if ramp:
        actor.require("mailboxes.ramp", tenant)
    if test_sign_in:
        actor.require("mailboxes.hold", tenant)
    if max(map(len, (source, sheet, ramp))) > imports.LONGEST_SOURCE:
        raise BadInput(f"Source, sheet and ramp have at most {imports.LONGEST_SOURCE} characters.", field="source")
    upload = Upload(
        tenant=tenant, file_name=_safe(name), size=0, source=source, sheet=sheet, ramp=ramp,
        test_sign_in=test_sign_in, by_user_id=actor.user_id,
    )  # fmt: skip
    upload_boxes.new_key(upload)
    upload.save()
    digest = hashlib.sha256()

    def counted() -> Iterator[bytes]:
        for chunk in chunks:
            upload.size += len(chunk)
            if upload.size > limit_bytes():
                raise BadInput(f"The file is larger than {settings.UPLOAD_MIB} MiB. Split it.", field="file")
            digest.update(chunk)
            yield chunk

    upload_boxes.write(upload, UploadPart.Kind.FILE, counted())
    if not upload.size:
        raise BadInput("The file is empty.", field="file")
    upload.file_hash = digest.hexdigest()
    upload.save(update_fields=["size", "file_hash"])
    ring(upload)
    audit.record(actor, "upload.taken", upload, size=upload.size)
    return upload


@transaction.atomic
def name_columns(upload: Upload, mapping: Mapping[str, str], *, actor: Actor) -> Upload:
    """Say what the file's titles mean, "" to leave one out; the file is checked again with that."""
    actor.require("mailboxes.import", upload)
    upload = _locked(upload)
    unknown = set(mapping) - set(upload.titles)
    if unknown or set(mapping.values()) - {"", *mailbox_rows.SHAPE.known}:
        raise BadInput("A title or a column that is not there.", field="columns")
    upload.move_to(State.WAITING)
    upload.columns, upload.reason, upload.attempts, upload.rung_at = dict(mapping), "", 0, None
    upload.save(update_fields=["state", "columns", "reason", "attempts", "rung_at", "changed_at"])
    ring(upload)
    audit.record(actor, "upload.columns_named", upload, count=len(mapping))
    return upload


@transaction.atomic
def confirm(upload: Upload, *, actor: Actor) -> Upload:
    """Import what was shown; whoever confirms it is who imports it."""
    actor.require("mailboxes.import", upload)
    upload = _locked(upload)
    upload.move_to(State.CONFIRMED)
    upload.by_user_id, upload.attempts, upload.read, upload.bytes_read, upload.rung_at = actor.user_id, 0, 0, 0, None
    names = ["state", "by_user", "attempts", "read", "bytes_read", "rung_at", "changed_at"]
    upload.save(update_fields=names)
    ring(upload)
    audit.record(actor, "upload.confirmed", upload)
    return upload


@transaction.atomic
def discard(upload: Upload, *, actor: Actor, reason: str = "") -> Upload:
    """Throw the file away. Raises InvalidMove while a worker has it in hand."""
    actor.require("mailboxes.import", upload)
    upload = _locked(upload)
    if upload.claimed_until is not None and upload.claimed_until > timezone.now():
        raise InvalidMove(f"A worker has {upload} in hand. Wait until it has ended.", source=upload.state, target="")
    upload.move_to(State.DISCARDED)
    upload.reason = reason
    empty(upload)
    audit.record(actor, "upload.discarded", upload, reason=reason)
    return upload


def refused_rows(upload: Upload, *, actor: Actor) -> Iterator[bytes]:
    """The file of the rows that the import refused, without passwords. Raises Missing when there is none (any more)."""
    actor.require("mailboxes.import", upload)
    if not upload.parts.filter(kind=UploadPart.Kind.REFUSED).exists():
        raise Missing("There is no file of refused rows, or no longer.")
    return upload_boxes.read(upload, UploadPart.Kind.REFUSED)


def ring(upload: Upload) -> None:
    """Give a worker the hint."""
    queues.ring(TASK, upload.tenant_id, upload.pk, queue=QUEUE)


def empty(upload: Upload) -> None:
    """Delete all bytes of an upload, key included, and save its state."""
    upload.parts.all().delete()
    upload.sealed_key, upload.claim, upload.claimed_until = b"", None, None
    upload.save(update_fields=["state", "reason", "sealed_key", "claim", "claimed_until", "changed_at"])


def needing_work() -> QuerySet[Upload]:
    """Uploads whose next step is a worker's, and that no worker has in hand."""
    waits = SignInTest.objects.filter(import_ref=OuterRef("done"), result=SignInTest.Result.WAITING)
    free = Q(claimed_until=None) | Q(claimed_until__lt=Now())
    turn = Q(state__in=Upload.WORKING) | Q(state=State.DONE, test_sign_in=True) & Exists(waits)
    return Upload.objects.filter(free & turn)


def ring_again(tenant_id: int) -> int:
    """Ring for uploads whose hint or whose worker was lost; return how many."""
    late = Q(rung_at=None) | Q(rung_at__lt=timezone.now() - timedelta(seconds=RING_AGAIN_SECONDS))
    old = Q(changed_at__lt=timezone.now() - timedelta(seconds=RING_AGAIN_SECONDS))
    found = list(needing_work().filter(late & old, tenant=tenant_id).order_by("pk")[:100])
    for upload in found:
        Upload.objects.filter(pk=upload.pk).update(rung_at=Now())
        ring(upload)
    return len(found)


def forget(tenant_id: int) -> int:
    """Delete the bytes of uploads older than UPLOAD_KEEP_SECONDS; return how many. Those in hand keep theirs."""
    before = timezone.now() - timedelta(seconds=settings.UPLOAD_KEEP_SECONDS)
    old = Upload.objects.filter(tenant=tenant_id, created_at__lt=before).exclude(sealed_key=b"")
    count = 0
    for pk in list(old.order_by("pk").values_list("pk", flat=True)):
        with transaction.atomic():
            free = old.filter(Q(claimed_until=None) | Q(claimed_until__lt=Now()), pk=pk)
            upload = free.select_for_update(no_key=True, skip_locked=True).first()
            if upload is not None:
                if upload.state in Upload.OPEN:
                    upload.state, upload.reason = State.DISCARDED, "Nobody imported it in time."
                empty(upload)
                count += 1
    return count


def claim(upload_id: int, token: Any, seconds: float) -> Upload | None:
    """Take an upload in hand for so long; None when its turn is over or somebody else has it."""
    with transaction.atomic(), connection.cursor() as cursor:
        found = needing_work().filter(pk=upload_id).select_for_update(no_key=True, skip_locked=True).first()
        if found is None:
            return None
        cursor.execute("SELECT clock_timestamp() + make_interval(secs => %s)", [seconds])
        until = cursor.fetchone()[0]
        changes = {"claim": token, "claimed_until": until, "attempts": F("attempts") + 1}
        Upload.objects.filter(pk=upload_id).update(**changes)
    return Upload.objects.select_related("tenant", "by_user").get(pk=upload_id)


def _locked(upload: Upload) -> Upload:
    return Upload.objects.select_for_update(no_key=True).get(pk=upload.pk)


def _safe(name: str) -> str:
    """The last part of a path of any system, printable."""
    last = re.split(r"[/\\]", name)[-1]
    return "".join(character for character in last if character.isprintable()).strip(". ")[-255:] or "mailboxes"
