"""Pages of tenants, people, their roles, and leases."""

from tenants.admin import leases, members, records, tenants, users

__all__ = ["leases", "members", "records", "tenants", "users"]
