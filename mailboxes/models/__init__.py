"""From where and how: pools, domains, provider accounts, mailboxes, ramps, allowances."""

from mailboxes.models.allowances import Allowance, AllowanceReturn
from mailboxes.models.domains import SendingDomain
from mailboxes.models.imports import Import, ImportedRow
from mailboxes.models.mailboxes import Mailbox
from mailboxes.models.pools import Pool
from mailboxes.models.providers import ProviderAccount
from mailboxes.models.quotas import QuotaGroup, ReceiverDomain, ReceiverLimit
from mailboxes.models.ramps import RampDay, RampPlan
from mailboxes.models.rotation import Rotation
from mailboxes.models.sign_ins import SignInTest
from mailboxes.models.uploads import Upload, UploadPart

__all__ = [
    "Allowance",
    "AllowanceReturn",
    "Import",
    "ImportedRow",
    "Mailbox",
    "Pool",
    "ProviderAccount",
    "QuotaGroup",
    "RampDay",
    "RampPlan",
    "ReceiverDomain",
    "ReceiverLimit",
    "Rotation",
    "SendingDomain",
    "SignInTest",
    "Upload",
    "UploadPart",
]
