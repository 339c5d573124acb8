"""The one list of fields that hold sealed secrets, and where each of them belongs.

A model adds its field in one line below its class. What is listed here is re-sealed by `rotate_keys` and
looked at by `doctor`; a system check (outreach.E004) finds a field `sealed_*` that is not.
"""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True, slots=True)
class SealedField:
    """A binary field of a model that has a `seal_ref` as well; empty bytes mean that there is no secret.

    `purpose` is the last part of the associated data and never changes, even where the column is renamed.
    """

    model: str
    field: str
    purpose: str

    def place(self, tenant_id: int | None, seal_ref: UUID | str) -> tuple[str, str, str, str]:
        """The associated data of one row: tenant ("" for none), model, row, purpose. It opens nowhere else."""
        return ("" if tenant_id is None else str(tenant_id), self.model, str(seal_ref), self.purpose)


_listed: dict[tuple[str, str], SealedField] = {}


def register(model: str, field: str, purpose: str) -> SealedField:
    """List a field, as in register("mailboxes.Mailbox", "sealed_password", "smtp_password")."""
    return _listed.setdefault((model, field), SealedField(model, field, purpose))


def every() -> tuple[SealedField, ...]:
    """All listed fields, in a fixed order."""
    return tuple(_listed[key] for key in sorted(_listed))


def is_listed(model: str, field: str) -> bool:
    """Whether the rotation knows this field."""
    return (model, field) in _listed
