"""Pages of campaigns and people."""

from campaigns.admin import campaigns, contacts, enrolments, lists, messages, plans, stops, suppression

__all__ = ["campaigns", "contacts", "enrolments", "lists", "messages", "plans", "stops", "suppression"]
