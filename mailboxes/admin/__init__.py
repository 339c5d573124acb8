"""Pages of the fleet."""

from mailboxes.admin import allowances, domain_ramps, domains, imports, mailboxes, pools, providers, quotas, ramps

__all__ = ["allowances", "domain_ramps", "domains", "imports", "mailboxes", "pools", "providers", "quotas", "ramps"]
