"""Pages of tenants, people, their roles and keys, and leases."""

from tenants.admin import api_keys, audit, invitations, leases, members, records, tenants, users

__all__ = ["api_keys", "audit", "invitations", "leases", "members", "records", "tenants", "users"]
