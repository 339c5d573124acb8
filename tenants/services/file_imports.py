"""What every import of a file keeps: which file, by whom, how its columns were read, until when it can be undone."""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from django.db.models import QuerySet
from django.utils import timezone

from outreach.common.errors import BadInput
from tenants.services.actors import Actor

LONGEST_SOURCE = 100  # characters
UNDO_DAYS = 30  # that an import can be taken back


def judge_source(source: str) -> None:
    """Raise BadInput for a name that is too long."""
    if len(source) > LONGEST_SOURCE:
        raise BadInput(f"Name the source with at most {LONGEST_SOURCE} characters.", field="source")


def columns_of(imports: QuerySet[Any], source: str) -> dict[str, str]:
    """The mapping that the last of these imports with that source used; none without a source."""
    if not source:
        return {}
    return dict(imports.filter(source=source).order_by("-pk").values_list("columns", flat=True).first() or {})


def facts(path: Path | str, source: str, columns: dict[str, str], *, actor: Actor) -> dict[str, Any]:
    """The fields that the rows of all imports have in common."""
    with open(path, "rb") as file:
        file_hash = hashlib.file_digest(file, "sha256").hexdigest()
    return {
        "file_name": Path(path).name[-255:],
        "file_hash": file_hash,
        "source": source,
        "columns": columns,
        "by_kind": actor.kind,
        "by_user_id": actor.user_id,
        "by_key_id": actor.key_id,
        "undo_until": undo_until(),
    }


def undo_until() -> datetime:
    return timezone.now() + timedelta(days=UNDO_DAYS)
