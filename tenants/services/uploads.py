"""Files that people bring in the browser: kept sealed, checked, confirmed and imported by a worker.

What is the same whatever the file holds; each kind has a model of its own (tenants.models.FileUpload). The rows are the
truth and hints only hints: whoever finds an upload that nobody works on begins it again. Import and the word that it is
done are one transaction, so a worker that dies leaves the upload as it was.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta
from typing import Any, TypeVar

from django.conf import settings
from django.db import connection, transaction
from django.db.models import F, Q, QuerySet
from django.db.models.functions import Now
from django.utils import timezone

from outreach.common import queues
from outreach.common.errors import BadInput, InvalidMove, Missing
from outreach.common.tables import Shape
from tenants.models import FilePart, FileUpload
from tenants.services import audit, file_imports, upload_boxes
from tenants.services.actors import Actor

QUEUE = "bulk"
RING_AGAIN_SECONDS = 30
MOST_ATTEMPTS = 3
State = FileUpload.State
Some = TypeVar("Some", bound=FileUpload)


def limit_bytes() -> int:
    """The largest file that is taken."""
    return settings.UPLOAD_MIB * 2**20


@transaction.atomic
def take(upload: Some, name: str, chunks: Iterable[bytes], *, actor: Actor) -> Some:
    """Keep a file, sealed, for a worker to check; nothing is imported before somebody confirms it.

    `upload` is unsaved and says whose it is and how to read it; of `name` only the last part counts. Raises NotAllowed,
    and BadInput for a file that is empty or too large.
    """
    actor.require(upload.PERMISSION, upload.tenant)
    if max(len(upload.source), len(upload.sheet)) > file_imports.LONGEST_SOURCE:
        raise BadInput(f"Source and sheet have at most {file_imports.LONGEST_SOURCE} characters.", field="source")
    upload.file_name, upload.size, upload.by_user_id = _safe(name), 0, actor.user_id
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

    upload_boxes.write(upload, FilePart.Kind.FILE, counted())
    if not upload.size:
        raise BadInput("The file is empty.", field="file")
    upload.file_hash = digest.hexdigest()
    upload.save(update_fields=["size", "file_hash"])
    ring(upload)
    audit.record(actor, "upload.taken", upload, size=upload.size)
    return upload


@transaction.atomic
def name_columns(upload: Some, mapping: Mapping[str, str], *, actor: Actor, shape: Shape) -> Some:
    """Say what the file's titles mean, "" to leave one out; the file is checked again with that.

    Where the shape has free columns, any usable name will do.
    """
    actor.require(upload.PERMISSION, upload)
    upload = _locked(upload)
    names = set(mapping.values()) - {"", *shape.known}
    if set(mapping) - set(upload.titles) or any(not (shape.free and name.isidentifier()) for name in names):
        raise BadInput("A title or a column that is not there.", field="columns")
    upload.move_to(State.WAITING)
    upload.columns, upload.reason, upload.attempts, upload.rung_at = dict(mapping), "", 0, None
    upload.save(update_fields=["state", "columns", "reason", "attempts", "rung_at", "changed_at"])
    ring(upload)
    audit.record(actor, "upload.columns_named", upload, count=len(mapping))
    return upload


@transaction.atomic
def confirm(upload: Some, *, actor: Actor) -> Some:
    """Import what was shown; whoever confirms it is who imports it."""
    actor.require(upload.PERMISSION, upload)
    upload = _locked(upload)
    upload.move_to(State.CONFIRMED)
    upload.by_user_id, upload.attempts, upload.read, upload.bytes_read, upload.rung_at = actor.user_id, 0, 0, 0, None
    names = ["state", "by_user", "attempts", "read", "bytes_read", "rung_at", "changed_at"]
    upload.save(update_fields=names)
    ring(upload)
    audit.record(actor, "upload.confirmed", upload)
    return upload


@transaction.atomic
def discard(upload: Some, *, actor: Actor, reason: str = "") -> Some:
    """Throw the file away. Raises InvalidMove while a worker has it in hand."""
    actor.require(upload.PERMISSION, upload)
    upload = _locked(upload)
    if upload.claimed_until is not None and upload.claimed_until > timezone.now():
        raise InvalidMove(f"A worker has {upload} in hand. Wait until it has ended.", source=upload.state, target="")
    upload.move_to(State.DISCARDED)
    upload.reason = reason
    empty(upload)
    audit.record(actor, "upload.discarded", upload, reason=reason)
    return upload


def refused_rows(upload: FileUpload, *, actor: Actor) -> Iterator[bytes]:
    """The file of the rows that the import refused, without secrets. Raises Missing when there is none (any more)."""
    actor.require(upload.PERMISSION, upload)
    if not upload.parts.filter(kind=FilePart.Kind.REFUSED).exists():
        raise Missing("There is no file of refused rows, or no longer.")
    return upload_boxes.read(upload, FilePart.Kind.REFUSED)


def ring(upload: FileUpload) -> None:
    """Give a worker the hint."""
    queues.ring(upload.TASK, upload.tenant_id, upload.pk, queue=QUEUE)


def empty(upload: FileUpload) -> None:
    """Delete all bytes of an upload, key included, and save its state."""
    upload.parts.all().delete()
    upload.sealed_key, upload.claim, upload.claimed_until = b"", None, None
    upload.save(update_fields=["state", "reason", "sealed_key", "claim", "claimed_until", "changed_at"])


def needing_work(model: type[Some]) -> QuerySet[Some]:
    """Uploads whose next step is a worker's, and that no worker has in hand."""
    free = Q(claimed_until=None) | Q(claimed_until__lt=Now())
    turn = Q(state__in=model.WORKING)
    if (further := model.further_turns()) is not None:
        turn |= Q(state=State.DONE) & further
    return model.objects.filter(free & turn)


def ring_again(model: type[FileUpload], tenant_id: int) -> int:
    """Ring for uploads whose hint or whose worker was lost; return how many."""
    late = Q(rung_at=None) | Q(rung_at__lt=timezone.now() - timedelta(seconds=RING_AGAIN_SECONDS))
    old = Q(changed_at__lt=timezone.now() - timedelta(seconds=RING_AGAIN_SECONDS))
    found = list(needing_work(model).filter(late & old, tenant=tenant_id).order_by("pk")[:100])
    for upload in found:
        model.objects.filter(pk=upload.pk).update(rung_at=Now())
        ring(upload)
    return len(found)


def forget(model: type[FileUpload], tenant_id: int) -> int:
    """Delete the bytes of uploads older than UPLOAD_KEEP_SECONDS; return how many. Those in hand keep theirs."""
    before = timezone.now() - timedelta(seconds=settings.UPLOAD_KEEP_SECONDS)
    old = model.objects.filter(tenant=tenant_id, created_at__lt=before).exclude(sealed_key=b"")
    count = 0
    for pk in list(old.order_by("pk").values_list("pk", flat=True)):
        with transaction.atomic():
            free = old.filter(Q(claimed_until=None) | Q(claimed_until__lt=Now()), pk=pk)
            upload = free.select_for_update(no_key=True, skip_locked=True).first()
            if upload is not None:
                if upload.state in model.OPEN:
                    upload.state, upload.reason = State.DISCARDED, "Nobody imported it in time."
                empty(upload)
                count += 1
    return count


def claim(model: type[Some], upload_id: int, token: Any, seconds: float) -> Some | None:
    """Take an upload in hand for so long; None when its turn is over or somebody else has it."""
    with transaction.atomic(), connection.cursor() as cursor:
        found = needing_work(model).filter(pk=upload_id).select_for_update(no_key=True, skip_locked=True).first()
        if found is None:
            return None
        cursor.execute("SELECT clock_timestamp() + make_interval(secs => %s)", [seconds])
        until = cursor.fetchone()[0]
        changes = {"claim": token, "claimed_until": until, "attempts": F("attempts") + 1}
        model.objects.filter(pk=upload_id).update(**changes)
    return model.objects.select_related("tenant", "by_user").get(pk=upload_id)


def _locked(upload: Some) -> Some:
    return type(upload).objects.select_for_update(no_key=True).get(pk=upload.pk)


def _safe(name: str) -> str:
    """The last part of a path of any system, printable."""
    last = re.split(r"[/\\]", name)[-1]
    return "".join(character for character in last if character.isprintable()).strip(". ")[-255:] or "file"
