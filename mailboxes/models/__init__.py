"""From where and how: pools, domains, provider accounts, mailboxes, ramps, allowances."""

from mailboxes.models.allowances import Allowance, AllowanceReturn
from mailboxes.models.domains import SendingDomain
from mailboxes.models.edits import BulkEdit, BulkEditRow
from mailboxes.models.imports import Import, ImportedRow
from mailboxes.models.mailboxes import Mailbox
from mailboxes.models.pools import Pool
from mailboxes.models.providers import ProviderAccount
from mailboxes.models.quarantine import QuarantineCase, Retirement
from mailboxes.models.quotas import QuotaGroup, ReceiverDomain, ReceiverLimit
from mailboxes.models.ramps import DomainRampDay, RampDay, RampPlan
from mailboxes.models.rotation import Rotation
from mailboxes.models.routes import AccountMinute, Standby
from mailboxes.models.sign_ins import SignInTest
from mailboxes.models.uploads import Upload, UploadPart

__all__ = [
    "AccountMinute",
    "Allowance",
    "AllowanceReturn",
    "DomainRampDay",
    "BulkEdit",
    "BulkEditRow",
    "Import",
    "ImportedRow",
    "Mailbox",
    "Pool",
    "ProviderAccount",
    "QuarantineCase",
    "QuotaGroup",
    "RampDay",
    "RampPlan",
    "ReceiverDomain",
    "ReceiverLimit",
    "Retirement",
    "Rotation",
    "SendingDomain",
    "SignInTest",
    "Standby",
    "Upload",
    "UploadPart",
]
