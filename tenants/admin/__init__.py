"""Pages of tenants, people, their roles, and leases."""

from tenants.admin import leases, members, tenants, users

__all__ = ["leases", "members", "tenants", "users"]
