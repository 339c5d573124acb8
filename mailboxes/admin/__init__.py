"""Pages of the fleet."""

from mailboxes.admin import allowances, domains, editing, imports, mailboxes, pools, providers, quotas, ramps

__all__ = ["allowances", "domains", "editing", "imports", "mailboxes", "pools", "providers", "quotas", "ramps"]
