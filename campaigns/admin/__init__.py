"""Pages of campaigns and people."""

from campaigns.admin import (
    bases,
    campaigns,
    contacts,
    conversations,
    enrolments,
    imports,
    launching,
    lists,
    messages,
    plans,
    steps,
    stops,
    suppression,
    suppression_lists,
    testing,
    variants,
)

__all__ = [
    "bases",
    "campaigns",
    "contacts",
    "conversations",
    "enrolments",
    "imports",
    "launching",
    "lists",
    "messages",
    "plans",
    "steps",
    "stops",
    "suppression",
    "suppression_lists",
    "testing",
    "variants",
]
