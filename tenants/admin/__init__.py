"""Pages of tenants, people and leases."""

from tenants.admin import leases, tenants, users

__all__ = ["leases", "tenants", "users"]
