"""What the world says about our mail: so far the checks of sending domains."""

from deliverability.models.checks import DomainCheck

__all__ = ["DomainCheck"]
