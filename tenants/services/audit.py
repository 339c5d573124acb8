"""Named actions, one log line each, with ids only: never an address or a name."""

from __future__ import annotations

from typing import Any

import structlog

from tenants.services.actors import Actor

log = structlog.get_logger("audit")


def record(actor: Actor, action: str, subject: Any, **values: Any) -> None:
    """Say who did what to which row. `action` is noun.pasttense; values are short facts, no personal data."""
    log.info(
        action,
        actor_kind=actor.kind,
        actor_user_id=actor.user_id,
        actor_key_id=actor.key_id,
        subject=subject._meta.label,
        subject_id=subject.pk,
        **values,
    )
