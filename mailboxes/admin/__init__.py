"""Pages of the fleet."""

from mailboxes.admin import (
    allowances,
    domain_ramps,
    domains,
    editing,
    imports,
    mailboxes,
    pools,
    providers,
    quarantine,
    quotas,
    ramps,
    routes,
    uploads,
)

__all__ = [
    "allowances", "domain_ramps", "domains", "editing", "imports", "mailboxes", "pools", "providers", "quarantine",
    "quotas", "ramps", "routes", "uploads",
]  # fmt: skip
