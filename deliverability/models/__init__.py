"""What the world says about our mail: checks of sending domains, and what verifiers of addresses were asked."""

from deliverability.models.checks import DomainCheck
from deliverability.models.verifiers import VerifierUse

__all__ = ["DomainCheck", "VerifierUse"]
