"""From where and how: pools, domains, provider accounts, mailboxes, allowances."""

from mailboxes.models.allowances import Allowance, AllowanceReturn
from mailboxes.models.domains import SendingDomain
from mailboxes.models.imports import Import, ImportedRow
from mailboxes.models.mailboxes import Mailbox
from mailboxes.models.pools import Pool
from mailboxes.models.providers import ProviderAccount
from mailboxes.models.rotation import Rotation

__all__ = [
    "Allowance",
    "AllowanceReturn",
    "Import",
    "ImportedRow",
    "Mailbox",
    "Pool",
    "ProviderAccount",
    "Rotation",
    "SendingDomain",
]
