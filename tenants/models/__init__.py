"""Who may: tenants, people, leases of single-leader processes."""

from tenants.models.base import AddTenantKeys, TenantForeignKey, TenantImplied, TenantOwned
from tenants.models.leases import Lease
from tenants.models.tenants import Tenant
from tenants.models.users import User

__all__ = ["AddTenantKeys", "Lease", "Tenant", "TenantForeignKey", "TenantImplied", "TenantOwned", "User"]
