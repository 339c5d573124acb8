"""Pages of the fleet."""

from mailboxes.admin import allowances, domains, mailboxes, pools, providers, ramps

__all__ = ["allowances", "domains", "mailboxes", "pools", "providers", "ramps"]
