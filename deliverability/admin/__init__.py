"""Pages about what the world says."""

from deliverability.admin import checks, domains

__all__ = ["checks", "domains"]
