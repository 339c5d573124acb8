"""Pages of the fleet."""

from mailboxes.admin import allowances, domains, imports, mailboxes, pools, providers, quarantine, quotas, ramps

__all__ = ["allowances", "domains", "imports", "mailboxes", "pools", "providers", "quarantine", "quotas", "ramps"]
