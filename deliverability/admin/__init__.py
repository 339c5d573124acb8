"""Pages about what the world says."""

from deliverability.admin import checks, contacts, domains, verifiers

__all__ = ["checks", "contacts", "domains", "verifiers"]
