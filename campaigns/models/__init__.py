"""Who gets what and when: contacts, lists, campaigns, enrolments, the ledger, suppression."""

from campaigns.models.bases import BasisRule
from campaigns.models.campaigns import Campaign, Step, Variant
from campaigns.models.canaries import Canary
from campaigns.models.clicks import Click
from campaigns.models.contacts import Contact, Conversation
from campaigns.models.enrolments import Enrolment
from campaigns.models.imports import ContactImport, ContactUpload, ContactUploadPart, ImportedContact
from campaigns.models.lists import ContactList, ListEntry
from campaigns.models.messages import Attempt, Batch, Message
from campaigns.models.plans import PlanRun
from campaigns.models.stops import Stop
from campaigns.models.suppression import Suppression, SuppressionList
from campaigns.models.testing import SeedAddress, TestSend

__all__ = [
    "Attempt",
    "BasisRule",
    "Batch",
    "Campaign",
    "Canary",
    "Click",
    "Contact",
    "ContactImport",
    "ContactList",
    "ContactUpload",
    "ContactUploadPart",
    "Conversation",
    "Enrolment",
    "ImportedContact",
    "ListEntry",
    "Message",
    "PlanRun",
    "SeedAddress",
    "Step",
    "Stop",
    "Suppression",
    "SuppressionList",
    "TestSend",
    "Variant",
]
