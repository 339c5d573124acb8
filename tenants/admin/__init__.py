"""Pages of tenants, people, their roles, and leases."""

from tenants.admin import invitations, leases, members, tenants, users

__all__ = ["invitations", "leases", "members", "tenants", "users"]
