"""Who may: tenants, people, their roles, leases of single-leader processes."""

from tenants.models.api_keys import ApiKey
from tenants.models.append_only import AppendOnly
from tenants.models.approvals import Approval, ApprovalPolicy
from tenants.models.audit import AuditChain, AuditEntry
from tenants.models.base import AddTenantKeys, TenantForeignKey, TenantImplied, TenantOwned
from tenants.models.factors import RecoverySheet, SecondFactor
from tenants.models.invitations import Invitation
from tenants.models.leases import Lease
from tenants.models.members import BreakGlass, Membership
from tenants.models.records import ChecklistEntry, TenantRecord
from tenants.models.row_security import ProtectTenantRows
from tenants.models.sessions import SignedIn
from tenants.models.tenants import Tenant
from tenants.models.uploads import FilePart, FileUpload
from tenants.models.users import User

__all__ = [
    "AddTenantKeys",
    "ApiKey",
    "AppendOnly",
    "Approval",
    "ApprovalPolicy",
    "AuditChain",
    "AuditEntry",
    "BreakGlass",
    "ChecklistEntry",
    "FilePart",
    "FileUpload",
    "Invitation",
    "Lease",
    "Membership",
    "ProtectTenantRows",
    "RecoverySheet",
    "SecondFactor",
    "SignedIn",
    "Tenant",
    "TenantForeignKey",
    "TenantImplied",
    "TenantOwned",
    "TenantRecord",
    "User",
]
