"""A mailbox with the account that it leaves by, as plain values read in one go."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from mailboxes.models.mailboxes import MAILBOX_PASSWORD
from mailboxes.models.providers import ACCOUNT_SECRET
from tenants.services import sealing


@dataclass(frozen=True, slots=True)
class Way:
    """A mailbox and the account that it leaves by now, as plain values; secrets are sealed as they are stored."""

    tenant_id: int
    mailbox_id: int
    address: str
    username: str
    sealed_password: bytes = field(repr=False)
    seal_ref: str
    account_id: int
    kind: str
    name: str
    host: str
    port: int
    security: Any
    region: str
    options: dict[str, Any]
    sealed_secret: bytes = field(repr=False)
    account_seal_ref: str
    signs_dkim: bool
    is_guest: bool

    def password(self) -> str:
        """Of the mailbox, "" where it has none, and for an account that is not its own. Raises SealBroken."""
        if self.is_guest or not self.sealed_password:
            return ""
        place = MAILBOX_PASSWORD.place(self.tenant_id, self.seal_ref)
        return sealing.keyring().open(self.sealed_password, place).decode()

    def secret(self) -> str:
        """Of the account, "" where it has none. Raises SealBroken."""
        if not self.sealed_secret:
            return ""
        place = ACCOUNT_SECRET.place(self.tenant_id, self.account_seal_ref)
        return sealing.keyring().open(self.sealed_secret, place).decode()


# What `of_rows` reads of a mailbox `b` and of the account `a` that it leaves by, in the order of Way.
COLUMNS = """b.tenant_id, b.id, b.address, b.username, b.sealed_password, b.seal_ref::text, a.id, a.kind, a.name,
    a.host, a.port, a.security, a.region, a.options, a.sealed_secret, a.seal_ref::text, a.signs_dkim,
    b.home_id <> a.id"""
WIDTH = 18


def of_row(row: tuple[Any, ...]) -> Way:
    """A way from the values of COLUMNS."""
    values = list(row)
    for sealed in (4, 14):
        values[sealed] = bytes(values[sealed])
    values[13] = json.loads(values[13])
    return Way(*values)
