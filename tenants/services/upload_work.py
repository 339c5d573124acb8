"""What a worker does with an upload: check it, import it, and what its kind of file wants after that."""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog
from django.db import DatabaseError, connection, transaction

from outreach.common import circumstances, isolation
from outreach.common.errors import BadInput, OutreachError
from outreach.common.refusals import Report
from outreach.common.tables import Shape, Table
from tenants.models import FilePart, FileUpload
from tenants.services import actors, upload_boxes, uploads
from tenants.services.actors import SYSTEM, Actor

log = structlog.get_logger(__name__)
CLAIM_SECONDS, BEAT_SECONDS = 60, 2
SHOWN = 50  # rows of each verdict on the page
State = FileUpload.State


class Lost(Exception):
    """Somebody else has the upload in hand now."""


@dataclass(frozen=True, slots=True)
class Kind:
    """How one kind of file is read and imported.

    `saved_columns` is what the upload's source was read with last time. `run(upload, path, actor=, **options)` is the
    import, with dry_run or refused_path among the options. `after` follows an import that stands; where that fails,
    `spent` is written to the upload, so that it is not tried again.
    """

    model: type[FileUpload]
    shape: Shape
    saved_columns: Callable[[Any], dict[str, str]]
    run: Callable[..., Iterator[Report]]
    after: Callable[[Any, Actor], None] | None = None
    spent: tuple[tuple[str, Any], ...] = ()


def work_on(kind: Kind, tenant_id: int, upload_id: int) -> str:
    """Do the next step of an upload; safe twice and at any time. Returns what it came to, in a word."""
    with isolation.tenants([tenant_id], platform=True):
        upload = uploads.claim(kind.model, upload_id, uuid.uuid4(), CLAIM_SECONDS)
        if upload is None or upload.tenant_id != tenant_id:
            return "nothing to do"
        if upload.attempts > uploads.MOST_ATTEMPTS and upload.state != State.DONE:
            return _fail(kind, upload, f"It was begun {uploads.MOST_ATTEMPTS} times and interrupted each time.")
        actor = SYSTEM if upload.by_user is None else actors.of_user(upload.by_user)
        with circumstances.amended(**actor.ids()), _Beat(upload) as beat:
            try:
                if upload.state == State.WAITING:
                    return _check(kind, upload, actor, beat)
                if upload.state == State.CONFIRMED:
                    _import(kind, upload, actor, beat)
                if kind.after is not None:
                    kind.after(upload, actor)
                return _settle(upload, State.DONE)
            except OutreachError as error:
                return _fail(kind, upload, str(error))
            except Lost:
                return "lost"


class _Beat:
    """Renews the claim and writes how far it is, on a connection of its own: the work's is in a transaction."""

    def __init__(self, upload: FileUpload) -> None:
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
                f"UPDATE {self.upload._meta.db_table} "  # noqa: S608 (a table of ours)
                "SET claimed_until = clock_timestamp() + make_interval(secs => %s), "
                "read = %s, bytes_read = %s WHERE id = %s AND claim = %s",
                [CLAIM_SECONDS, self.read, self.bytes_read, self.upload.pk, self.upload.claim],
            )


def _check(kind: Kind, upload: FileUpload, actor: Actor, beat: _Beat) -> str:
    """Say what an import would do, or ask what the columns mean."""
    with upload_boxes.opened(upload) as path:
        columns = {**kind.saved_columns(upload), **upload.columns}
        with Table(path, kind.shape, sheet=upload.sheet, judged=False) as table:
            titles = list(dict.fromkeys(title for title in table.titles if title.strip()))
        titles = titles if all(map(str.isprintable, titles)) else []
        try:
            Table(path, kind.shape, sheet=upload.sheet, mapping=columns, titles=upload.columns).__exit__()
        except BadInput as error:
            if not titles:
                raise
            return _settle(upload, State.COLUMNS, titles=_clean(titles), reason=_clean(str(error)[:1000]))
        report = Report()
        for report in kind.run(upload, path, actor=actor, dry_run=True):
            beat.see(report)
        return _settle(upload, State.READY, titles=_clean(titles), preview=_preview(report), reason="")


def _import(kind: Kind, upload: FileUpload, actor: Actor, beat: _Beat) -> None:
    """Take the rows over. Import, refused rows and state are one transaction. Raises Lost."""
    with upload_boxes.opened(upload) as path, transaction.atomic():
        report, refused = Report(), path.parent / "refused.csv"
        for report in kind.run(upload, path, actor=actor, refused_path=refused):
            beat.see(report)
        upload.parts.filter(kind=FilePart.Kind.FILE).delete()
        if report.refused_file:
            with Path(report.refused_file).open("rb") as file:
                upload_boxes.write(upload, FilePart.Kind.REFUSED, iter(lambda: file.read(upload_boxes.PIECE), b""))
        held = kind.model.objects.filter(pk=upload.pk, claim=upload.claim, state=State.CONFIRMED)
        if not held.update(state=State.DONE, done=report.import_id, read=report.read, reason=""):
            raise Lost
    upload.state, upload.done_id = State.DONE, report.import_id


def _preview(report: Report) -> dict[str, Any]:
    """Counts, and the first rows of each verdict."""
    rows: dict[str, list[Any]] = {"new": [], "changed": [], "refused": []}
    if report.preview:
        for entry in report.preview.entries():
            if len(kept := rows.get(entry["verdict"], [])) < SHOWN and entry["verdict"] in rows:
                kept.append(entry)
    counts = {"new": report.created, "changed": report.updated, "unchanged": report.unchanged}
    counts |= {"refused": report.refused, "read": report.read}
    counts |= {"suppressed": report.suppressed} if report.suppressed else {}
    return {"counts": counts, "rows": _clean(rows), "fields": report.fields}


def _clean(value: Any) -> Any:
    """The same without what PostgreSQL can't keep as text: NUL and halves of surrogate pairs."""
    text = json.dumps(value, ensure_ascii=False, default=str).replace("\\u0000", "\ufffd")
    return json.loads(text.encode("utf-8", "replace"))


def _settle(upload: FileUpload, state: str, **changes: Any) -> str:
    """End the claim with this state, unless it was lost."""
    held = type(upload).objects.filter(pk=upload.pk, claim=upload.claim)
    done = held.update(state=state, claim=None, claimed_until=None, attempts=0, **changes)
    return state if done else "lost"


def _fail(kind: Kind, upload: FileUpload, reason: str) -> str:
    """Say why and delete the bytes; of an import that is done only what follows it failed."""
    if upload.state == State.DONE:
        return _settle(upload, State.DONE, **dict(kind.spent), reason=_clean(reason[:1000]))
    with transaction.atomic():
        held = kind.model.objects.select_for_update(no_key=True).filter(pk=upload.pk, claim=upload.claim).first()
        if held is None:
            return "lost"
        held.move_to(State.FAILED)
        held.reason = _clean(reason[:1000])
        uploads.empty(held)
    return State.FAILED
