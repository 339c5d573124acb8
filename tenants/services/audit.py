"""Named actions in the transaction that does them: with ids only, hash-chained, never changed afterwards.

A row's hash is keyed (tenants.chain), so it is made here and not in the database, which only takes it in its order.
Taking the head of a chain is the last lock of a transaction (the lock order stands in outreach/decisions): record
last, after every row of the act was written.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import date, datetime
from functools import cache
from typing import Any

import structlog
from django.conf import settings
from django.db import connection, transaction

from outreach.common import circumstances, counting
from outreach.common.hashing import Hasher
from tenants import chain
from tenants.models import ApiKey, User
from tenants.services.actors import Actor

log = structlog.get_logger("audit")
# Tried at the beginning of each word and never taken back, so that a long text costs no more than its length.
_WORD = r"[^\s@<>\"',;:()\[\]]"
ADDRESS = re.compile(rf"(?<!{_WORD})(?:\"[^\"\n]{{1,64}}\"|{_WORD}++(?:'{_WORD}++){{0,8}}+)@{_WORD}+")
LONGEST_REASON, LONGEST_TEXT = 500, 200
MOST_REFUSALS = 30
ACTION = re.compile(r"[a-z_]+\.[a-z_]+")


@cache
def keys() -> chain.Keys:
    """What chains entries and signs heads."""
    return chain.Keys.parse(settings.AUDIT_KEY)


def record(
    actor: Actor, action: str, subject: Any, *, reason: str = "", before: Any = None, after: Any = None, **facts: Any
) -> None:
    """Write who did what to which row into the chain of the row's tenant, or of the platform.

    The subject is a row, or a model where an act concerns no single row and no tenant.

    `action` is noun.pasttense. `before`, `after` and facts are short values without personal data; an address that
    a person wrote into them or into the reason is kept as its keyed hash. Needs a transaction, and to be its last
    write: the chain stays locked until the end.
    """
    if not connection.in_atomic_block:
        raise RuntimeError(f"{action} is to be recorded in the transaction that does it")
    if not ACTION.fullmatch(action):
        raise ValueError(f"{action!r} is no noun.pasttense")
    entry = {
        "tenant_id": tenant_of(subject),
        "action": action,
        "actor_kind": actor.kind,
        "actor_user_id": actor.user_id,
        "actor_key_id": actor.key_id,
        "actor_name": plain(actor.label)[:60] if actor.kind == "system" else "",
        "subject": subject._meta.label,
        "subject_id": None if isinstance(subject, type) else subject.pk,
        "before": plain(before),
        "after": plain(after),
        "reason": plain(reason, LONGEST_REASON),
        "facts": plain({name: value for name, value in facts.items() if value is not None}),
        **_circumstances(),
    }
    _append(entry)
    said = {name: value for name, value in entry.items() if value not in (None, "", {}) and name != "actor_name"}
    log.info(said.pop("action"), **said)


def refused(actor: Actor, status: int, route: str, row: str) -> None:
    """Somebody known asked for what they may not have, or for a row that is not there for them.

    Stands in the platform's chain; beyond MOST_REFUSALS a minute of one actor no more are written.
    """
    person = actor.user_id or actor.key_id
    if person is None or counting.count(f"refused:{actor.kind}:{person}") > MOST_REFUSALS:
        return
    with transaction.atomic():
        model = User if actor.user_id else ApiKey
        record(actor, "access.refused", model, status=status, route=route[:LONGEST_TEXT], row=plain(row)[:40])


def tenant_of(subject: Any) -> int | None:
    """Whose chain tells of this row; None: the platform's."""
    if subject._meta.label == "tenants.Tenant" and not isinstance(subject, type):
        return int(subject.pk)
    return None if isinstance(subject, type) else getattr(subject, "tenant_id", None)


def plain(value: Any, longest: int = LONGEST_TEXT) -> Any:
    """A value as JSON gives it back unchanged: no fractions, no dates, no NUL, no address in the clear."""
    if value is None or isinstance(value, (bool, int)):
        return value
    if isinstance(value, Mapping):
        return {plain(str(key)): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(item) for item in value]
    if isinstance(value, (date, datetime)):
        return value.isoformat()
    text = str(value).encode("utf-8", "replace").decode().replace("\0", "\N{REPLACEMENT CHARACTER}")
    return ADDRESS.sub(_hashed, text)[:longest]


def _hashed(found: re.Match[str]) -> str:
    """An address in a text: whoever knows the address can find it again, nobody can read it."""
    return f"[address {Hasher.parse(settings.HASH_KEY).text(found[0].lower()).hex()}]"


def _circumstances() -> dict[str, str]:
    at = circumstances.current()
    return {"ip": at.ip[:45], "request_id": at.request_id[:64], "via": " ".join(filter(None, (at.via, at.name)))[:40]}


def _append(entry: dict[str, Any]) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT seq, hash, at FROM app_audit_head(%s)", [entry["tenant_id"]])
        seq, previous, at = cursor.fetchone()
        entry |= {"seq": seq + 1, "at": at}
        made = chain.link(keys().chain, bytes(previous), entry)
        cursor.execute("SELECT app_audit_append(%s::jsonb, %s)", [json.dumps(entry | {"at": at.isoformat()}), made])
