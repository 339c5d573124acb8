"""Pages of campaigns and people."""

from campaigns.admin import (
    campaigns,
    contacts,
    enrolments,
    imports,
    launching,
    lists,
    messages,
    plans,
    stops,
    suppression,
    suppression_lists,
    testing,
    variants,
)

__all__ = [
    "campaigns",
    "contacts",
    "enrolments",
    "imports",
    "launching",
    "lists",
    "messages",
    "plans",
    "stops",
    "suppression",
    "suppression_lists",
    "testing",
    "variants",
]
