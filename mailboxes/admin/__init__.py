"""Pages of the fleet."""

from mailboxes.admin import allowances, domains, imports, mailboxes, pools, providers, quotas, ramps, uploads

__all__ = ["allowances", "domains", "imports", "mailboxes", "pools", "providers", "quotas", "ramps", "uploads"]
