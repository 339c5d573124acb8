"""Seed addresses: added, confirmed by the code of a first mail, archived.

The first mail is the only one that an address gets before somebody who reads it has agreed: a fixed text without
anything of a campaign, few an hour and few an address, by the tenant's own mailbox and past no stop or suppression.
"""

from __future__ import annotations

import hmac
import uuid
from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import F
from django.utils.timezone import now
from django.utils.translation import gettext as _

from campaigns.models import SeedAddress, TestSend
from campaigns.services import testing
from outreach.common import addresses, tokens, yaml_files
from outreach.common.errors import BadInput, InvalidMove, TooMany
from outreach.common.sealing import Keyring
from tenants.models import Tenant
from tenants.services import audit
from tenants.services.actors import Actor

PER_HOUR = 10  # first mails of one tenant
PER_ADDRESS = 3  # first mails to one address within a day, however often it is archived and added
CODE_HOLDS = timedelta(hours=24)
MOST_TRIES = 5


@transaction.atomic
def add(tenant: Tenant, address: str, *, actor: Actor, note: str = "") -> SeedAddress:
    """A new address, which gets a mail with a code; until that is entered it gets nothing more.

    Raises NotAllowed; BadInput; InvalidMove when it is there already; Held; TooMany.
    """
    actor.require("campaigns.test", tenant)
    tenant = Tenant.objects.select_for_update(no_key=True).get(pk=tenant.pk)
    if not (yaml_files.storable(address) and yaml_files.storable(note)):
        raise BadInput(_("The address or the note holds bytes that are no text."), field="address")
    parsed = addresses.parse(address)
    if parsed.needs_smtputf8:
        raise BadInput(_("This address can't get test mail."), field="address")
    if SeedAddress.objects.filter(tenant=tenant, address_key=parsed.key, archived_at=None).exists():
        raise InvalidMove(_("This address is in the list already."), field="address")
    seed = SeedAddress.objects.create(
        tenant=tenant, address=parsed.wire, address_key=parsed.key, note=note.strip()[:200], added_by_id=actor.user_id
    )
    _ask(tenant, seed, actor)
    audit.record(actor, "seed.added", seed)
    return seed


@transaction.atomic
def ask_again(seed: SeedAddress, *, actor: Actor) -> SeedAddress:
    """Send another code; the one before is void. Raises NotAllowed, InvalidMove, Held, TooMany."""
    actor.require("campaigns.test", seed)
    tenant = Tenant.objects.select_for_update(no_key=True).get(pk=seed.tenant_id)
    seed = SeedAddress.objects.select_for_update().get(pk=seed.pk)
    _require_open(seed)
    _ask(tenant, seed, actor)
    audit.record(actor, "seed.asked", seed)
    return seed


def confirm(seed: SeedAddress, code: str, *, actor: Actor) -> SeedAddress:
    """The address is verified by the six digits of the mail that it got. Wrong ones count, and a few end the code.

    Raises NotAllowed, InvalidMove, BadInput.
    """
    actor.require("campaigns.test", seed)
    with transaction.atomic():
        seed = SeedAddress.objects.select_for_update().get(pk=seed.pk)
        _require_open(seed)
        if seed.code_nonce is None or seed.code_until is None or seed.code_until <= now():
            raise InvalidMove(_("The code is no longer good. Send another one."))
        if seed.code_tries >= MOST_TRIES:
            raise InvalidMove(_("Too many wrong codes. Send another one."))
        right = hmac.compare_digest(digits(seed).encode(), "".join(code.split()).encode())
        if not right:  # kept, whatever is raised below
            SeedAddress.objects.filter(pk=seed.pk).update(code_tries=F("code_tries") + 1)
        else:
            seed.verified_at, seed.code_nonce, seed.code_until = now(), None, None
            seed.save(update_fields=["verified_at", "code_nonce", "code_until"])
            audit.record(actor, "seed.verified", seed)
    if not right:
        raise BadInput(_("That is not the code of the newest mail to this address."), field="code")
    return seed


@transaction.atomic
def archive(seed: SeedAddress, *, actor: Actor) -> SeedAddress:
    """It gets no test mail any more, what is queued included. Raises NotAllowed, InvalidMove."""
    actor.require("campaigns.test", seed)
    seed = SeedAddress.objects.select_for_update().get(pk=seed.pk)
    if seed.archived_at is not None:
        raise InvalidMove(_("The address is archived already."))
    seed.archived_at, seed.code_nonce, seed.code_until = now(), None, None
    seed.save(update_fields=["archived_at", "code_nonce", "code_until"])
    audit.record(actor, "seed.archived", seed)
    return seed


def digits(seed: SeedAddress) -> str:
    """The code that the newest mail to the address has."""
    if seed.code_nonce is None:
        raise InvalidMove(_("The code is no longer good. Send another one."))
    return tokens.six_digits(Keyring.parse(settings.TOKEN_KEYS), seed.tenant_id, seed.code_nonce.bytes)


def _require_open(seed: SeedAddress) -> None:
    if seed.archived_at is not None or seed.verified_at is not None:
        raise InvalidMove(_("The address is verified or archived already."))


def _ask(tenant: Tenant, seed: SeedAddress, actor: Actor) -> None:
    """Queue the mail with a new code. The caller holds the tenant's row, so that the counts are exact."""
    at = now()
    asked = TestSend.objects.filter(tenant=tenant, kind=TestSend.Kind.CONFIRMATION)
    if asked.filter(created_at__gt=at - testing.HOUR).count() >= PER_HOUR:
        raise TooMany(_("%d addresses were asked within an hour. Wait a while.") % PER_HOUR)
    of_address = asked.filter(seed__address_key=seed.address_key, created_at__gt=at - timedelta(days=1))
    if of_address.count() >= PER_ADDRESS:
        raise TooMany(_("This address got %d codes within a day. Wait until tomorrow.") % PER_ADDRESS)
    mailbox_id = testing.way(tenant, seed.address, at=at)
    seed.code_nonce, seed.code_until, seed.code_tries = uuid.uuid4(), at + CODE_HOLDS, 0
    seed.save(update_fields=["code_nonce", "code_until", "code_tries"])
    testing.enqueue(
        tenant, testing.Tester(seed.address, seed_id=seed.pk), at=at, mailbox_id=mailbox_id,
        kind=TestSend.Kind.CONFIRMATION, by_kind=actor.kind, by_user_id=actor.user_id, by_key_id=actor.key_id,
    )  # fmt: skip
