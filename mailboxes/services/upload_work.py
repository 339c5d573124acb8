"""What a worker does with an upload: check it, import it, try its sign-ins."""

from __future__ import annotations

import json
import threading
import uuid
from pathlib import Path
from typing import Any

import structlog
from django.db import DatabaseError, connection, transaction

from mailboxes.models import Upload, UploadPart
from mailboxes.services import importing, imports, mailbox_rows, sign_ins, upload_boxes, uploads
from outreach.common import circumstances, isolation
from outreach.common.errors import BadInput, OutreachError
from outreach.common.refusals import Report
from outreach.common.tables import Table
from tenants.services import actors
from tenants.services.actors import SYSTEM, Actor

log = structlog.get_logger(__name__)
CLAIM_SECONDS, BEAT_SECONDS = 60, 2
SHOWN = 50  # rows of each verdict on the page
State = Upload.State


class Lost(Exception):
    """Somebody else has the upload in hand now."""


def work_on(tenant_id: int, upload_id: int) -> str:
    """Do the next step of an upload; safe twice and at any time. Returns what it came to, in a word."""
    with isolation.tenants([tenant_id], platform=True):
        upload = uploads.claim(upload_id, uuid.uuid4(), CLAIM_SECONDS)
        if upload is None or upload.tenant_id != tenant_id:
            return "nothing to do"
        if upload.attempts > uploads.MOST_ATTEMPTS and upload.state != State.DONE:
            return _fail(upload, f"It was begun {uploads.MOST_ATTEMPTS} times and interrupted each time.")
        actor = SYSTEM if upload.by_user is None else actors.of_user(upload.by_user)
        with circumstances.amended(**actor.ids()), _Beat(upload) as beat:
            try:
                if upload.state == State.WAITING:
                    return _check(upload, actor, beat)
                if upload.state == State.CONFIRMED:
                    _import(upload, actor, beat)
                return _sign_in(upload, actor)
            except OutreachError as error:
                return _fail(upload, str(error))
            except Lost:
                return "lost"


class _Beat:
    """Renews the claim and writes how far it is, on a connection of its own: the work's is in a transaction."""

    def __init__(self, upload: Upload) -> None:
        self.upload, self.read, self.bytes_read = upload, 0, 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="upload-beat", daemon=True)

    def __enter__(self) -> _Beat:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def see(self, report: Report) -> None:
        self.read, self.bytes_read = report.read, report.bytes_read

    def _run(self) -> None:
        try:
            with isolation.tenants([self.upload.tenant_id]):
                while not self._stop.wait(BEAT_SECONDS):
                    self._write()
        except DatabaseError as error:
            log.warning("upload.no_beat", upload_id=self.upload.pk, error=str(error).strip()[:200])
        finally:
            connection.close()

    def _write(self) -> None:
        with connection.cursor() as cursor:
            cursor.execute(
                "UPDATE mailboxes_upload SET claimed_until = clock_timestamp() + make_interval(secs => %s), "
                "read = %s, bytes_read = %s WHERE id = %s AND claim = %s",
                [CLAIM_SECONDS, self.read, self.bytes_read, self.upload.pk, self.upload.claim],
            )


def _check(upload: Upload, actor: Actor, beat: _Beat) -> str:
    """Say what an import would do, or ask what the columns mean."""
    with upload_boxes.opened(upload) as path:
        columns = {**imports.columns_of(upload.tenant, upload.source), **upload.columns}
        try:
            Table(path, mailbox_rows.SHAPE, sheet=upload.sheet, mapping=columns, titles=upload.columns).__exit__()
        except BadInput as error:
            with Table(path, mailbox_rows.SHAPE, sheet=upload.sheet, judged=False) as table:
                titles = list(dict.fromkeys(title for title in table.titles if title.strip()))
            if not titles or not all(map(str.isprintable, titles)):
                raise
            return _settle(upload, State.COLUMNS, titles=_clean(titles), reason=_clean(str(error)[:1000]))
        report = Report()
        for report in importing.import_mailboxes(upload.tenant, path, actor=actor, dry_run=True, **_options(upload)):
            beat.see(report)
        return _settle(upload, State.READY, preview=_preview(report), reason="")


def _import(upload: Upload, actor: Actor, beat: _Beat) -> None:
    """Take the rows over. Import, refused rows and state are one transaction. Raises Lost."""
    with upload_boxes.opened(upload) as path, transaction.atomic():
        report, refused = Report(), path.parent / "refused.csv"
        for report in importing.import_mailboxes(
            upload.tenant, path, actor=actor, refused_path=refused, secrets=False, test_sign_in=upload.test_sign_in,
            **_options(upload),
        ):  # fmt: skip
            beat.see(report)
        upload.parts.filter(kind=UploadPart.Kind.FILE).delete()
        if report.refused_file:
            with Path(report.refused_file).open("rb") as file:
                upload_boxes.write(upload, UploadPart.Kind.REFUSED, iter(lambda: file.read(upload_boxes.PIECE), b""))
        held = Upload.objects.filter(pk=upload.pk, claim=upload.claim, state=State.CONFIRMED)
        if not held.update(state=State.DONE, done=report.import_id, read=report.read, reason=""):
            raise Lost
    upload.state, upload.done_id = State.DONE, report.import_id


def _sign_in(upload: Upload, actor: Actor) -> str:
    if upload.test_sign_in and upload.done_id:
        for _ in sign_ins.run(upload.tenant, upload.done_id, actor=actor):
            pass
    return _settle(upload, State.DONE)


def _options(upload: Upload) -> dict[str, Any]:
    return {"sheet": upload.sheet, "source": upload.source, "mapping": upload.columns, "ramp": upload.ramp}


def _preview(report: Report) -> dict[str, Any]:
    """Counts, and the first rows of each verdict."""
    rows: dict[str, list[Any]] = {"new": [], "changed": [], "refused": []}
    if report.preview:
        for entry in report.preview.entries():
            if len(kept := rows.get(entry["verdict"], [])) < SHOWN and entry["verdict"] in rows:
                kept.append(entry)
    counts = {"new": report.created, "changed": report.updated, "unchanged": report.unchanged}
    return {"counts": {**counts, "refused": report.refused, "read": report.read}, "rows": _clean(rows)}


def _clean(value: Any) -> Any:
    """The same without what PostgreSQL can't keep as text: NUL and halves of surrogate pairs."""
    text = json.dumps(value, ensure_ascii=False, default=str).replace("\\u0000", "\ufffd")
    return json.loads(text.encode("utf-8", "replace"))


def _settle(upload: Upload, state: str, **changes: Any) -> str:
    """End the claim with this state, unless it was lost."""
    held = Upload.objects.filter(pk=upload.pk, claim=upload.claim)
    done = held.update(state=state, claim=None, claimed_until=None, attempts=0, **changes)
    return state if done else "lost"


def _fail(upload: Upload, reason: str) -> str:
    """Say why and delete the bytes; of an import that is done only the sign-ins failed."""
    if upload.state == State.DONE:
        return _settle(upload, State.DONE, test_sign_in=False, reason=_clean(reason[:1000]))
    with transaction.atomic():
        held = Upload.objects.select_for_update(no_key=True).filter(pk=upload.pk, claim=upload.claim).first()
        if held is None:
            return "lost"
        held.move_to(State.FAILED)
        held.reason = _clean(reason[:1000])
        uploads.empty(held)
    return State.FAILED
