"""Pages of tenants, people, their roles and keys, and leases."""

from tenants.admin import api_keys, approvals, audit, invitations, leases, members, records, sign_ins, tenants, users

__all__ = [
    "api_keys", "approvals", "audit", "invitations", "leases", "members", "records", "sign_ins", "tenants", "users",
]  # fmt: skip
