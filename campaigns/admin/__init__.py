"""Pages of campaigns and people."""

from campaigns.admin import (
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
    variants,
)

__all__ = [
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
    "variants",
]
