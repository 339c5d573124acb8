"""Stops that a host's answer or a broken connection brings: what must not send on, and for how long.

The sender reports what happened; here it becomes columns that planner and claim look at.
The apps above take back what was planned there (hook mailboxes.withdrawn), in the same
transaction. Levels are those of outreach.common.replies, and `connection`.
"""

from __future__ import annotations

from datetime import timedelta

import structlog
from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet
from django.db.models.functions import Now

from mailboxes.models import Mailbox, ProviderAccount
from mailboxes.services import providers
from outreach.common import hooks
from outreach.common.errors import BadInput
from tenants.services import audit
from tenants.services.actors import Actor

log = structlog.get_logger(__name__)


@transaction.atomic
def stop(mailbox_id: int, level: str, *, actor: Actor, reason: str, text: str = "", times: int = 1) -> list[int]:
    """Stop what the level names, beginning at this mailbox; return the ids of the mailboxes that rest by themselves.

    connection: the mailbox, for a time that doubles with each failure in a row. silence: nothing
    yet, but `times` failures are counted towards that. mailbox: for
    HOST_REST_SECONDS. domain: all its mailboxes as long. credential: a hold until somebody
    mends the sign-in. seal: a lock until somebody enters the password again. account,
    organisation: the account, until an ops manager lifts it.
    """
    box = Mailbox.objects.select_for_update(of=("self",), no_key=True).select_related("home").get(pk=mailbox_id)
    actor.require("mailboxes.hold", box)
    note = f"{reason}: {text}"[:500]
    match level:
        case "connection":
            ids = _rest_after_failure(box, note)
        case "silence":
            Mailbox.objects.filter(pk=box.pk).update(failures=min(box.failures + times, 1000), state_reason=note)
            return []
        case "mailbox":
            ids = _rest(Mailbox.objects.filter(pk=box.pk), note)
        case "domain":
            ids = _rest(Mailbox.objects.filter(domain_id=box.domain_id), note)
        case "credential":
            ids = [box.pk]
            Mailbox.objects.filter(pk=box.pk).update(hold=Mailbox.Hold.SIGN_IN_FAILED, state_reason=note)
        case "seal":
            ids = [box.pk]
            Mailbox.objects.filter(pk=box.pk).update(hold=Mailbox.Hold.LOCKED, state_reason=note)
        case "account" | "organisation":
            ids = _stop_account(box.home, level, actor, note)
        case _:
            raise BadInput(f"There is no stop of level {level!r}.", level=level)
    hooks.call("mailboxes.withdrawn", mailbox_ids=ids, reason=reason)
    audit.record(actor, "mailbox.stopped", box, level=level, reason=reason, mailboxes=len(ids))
    return ids


def _rest_after_failure(box: Mailbox, note: str) -> list[int]:
    failures = box.failures + 1
    seconds = min(settings.CIRCUIT_FIRST_SECONDS * 2 ** (failures - 1), settings.CIRCUIT_LONGEST_SECONDS)
    Mailbox.objects.filter(pk=box.pk).update(
        failures=min(failures, 1000), blocked_until=Now() + timedelta(seconds=seconds), state_reason=note
    )
    return [box.pk]


def _rest(boxes: QuerySet[Mailbox], note: str) -> list[int]:
    ids = list(boxes.select_for_update(no_key=True).order_by("pk").values_list("pk", flat=True))
    until = Now() + timedelta(seconds=settings.HOST_REST_SECONDS)
    Mailbox.objects.filter(pk__in=ids).update(blocked_until=until, state_reason=note)
    return ids


def _stop_account(account: ProviderAccount, level: str, actor: Actor, note: str) -> list[int]:
    """Suspended by its host is no outage: nothing opens by itself again, and nothing fails over."""
    if account.state == ProviderAccount.State.ACTIVE:
        act = providers.suspend if level == "organisation" else providers.pause
        act(account, actor=actor, reason=note)
    return []  # the service has told the apps above
