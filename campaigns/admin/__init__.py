"""Pages of campaigns and people."""

from campaigns.admin import (
    campaigns,
    contacts,
    conversations,
    enrolments,
    imports,
    lists,
    messages,
    plans,
    steps,
    stops,
    suppression,
    variants,
)

__all__ = [
    "campaigns",
    "contacts",
    "conversations",
    "enrolments",
    "imports",
    "lists",
    "messages",
    "plans",
    "steps",
    "stops",
    "suppression",
    "variants",
]
