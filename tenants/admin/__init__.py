"""Pages of tenants, people, their roles, and leases."""

from tenants.admin import api_keys, leases, members, tenants, users

__all__ = ["api_keys", "leases", "members", "tenants", "users"]
