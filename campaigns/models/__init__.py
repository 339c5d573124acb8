"""Who gets what and when: contacts, lists, campaigns, enrolments, the ledger, suppression."""

from campaigns.models.bases import BasisRule
from campaigns.models.campaigns import Campaign, Step, Variant
from campaigns.models.contacts import Contact
from campaigns.models.enrolments import Enrolment
from campaigns.models.imports import ContactImport
from campaigns.models.lists import ContactList, ListEntry
from campaigns.models.messages import Attempt, Batch, Message
from campaigns.models.plans import PlanRun
from campaigns.models.stops import Stop
from campaigns.models.suppression import Suppression

__all__ = [
    "Attempt",
    "BasisRule",
    "Batch",
    "Campaign",
    "Contact",
    "ContactImport",
    "ContactList",
    "Enrolment",
    "ListEntry",
    "Message",
    "PlanRun",
    "Step",
    "Stop",
    "Suppression",
    "Variant",
]
