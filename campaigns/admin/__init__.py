"""Pages of campaigns and people."""

from campaigns.admin import (
    bases,
    campaigns,
    contacts,
    enrolments,
    imports,
    lists,
    messages,
    plans,
    stops,
    suppression,
    variants,
)

__all__ = [
    "bases",
    "campaigns",
    "contacts",
    "enrolments",
    "imports",
    "lists",
    "messages",
    "plans",
    "stops",
    "suppression",
    "variants",
]
