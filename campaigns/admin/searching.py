"""Searching tables of millions by what an index knows: a number, an address, a message id."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet

from campaigns.services import suppression
from outreach.common import addresses
from outreach.common.errors import BadInput

DIGITS = 18  # of a bigint, all of them safe


def pk_of(term: str) -> int | None:
    """The row number in the search box, with or without #."""
    text = term.strip().removeprefix("#")
    return int(text) if text.isdecimal() and text.isascii() and len(text) <= DIGITS else None


def address_hash_of(term: str) -> bytes | None:
    """The keyed hash of the address in the search box, however it is spelt."""
    if "@" not in term:
        return None
    try:
        address = addresses.parse(term.strip())
    except BadInput:
        return None
    return suppression.hasher().address(address.identity)


class IndexedSearch:
    """A search box that looks up one row number or one address; `address_lookup` is where the hash stands."""

    address_lookup = "contact__address_hash"
    search_fields = ("pk",)

    def get_search_results(self, request: Any, queryset: QuerySet, search_term: str) -> tuple[QuerySet, bool]:
        term = search_term.replace("\x00", "").strip()
        if not term:
            return queryset, False
        if (pk := pk_of(term)) is not None:
            return queryset.filter(pk=pk), False
        if (digest := address_hash_of(term)) is not None:
            return queryset.filter(**{self.address_lookup: digest}), False
        return self.search_text(queryset, term), False

    def search_text(self, queryset: QuerySet, term: str) -> QuerySet:
        """What the box finds that is neither a number nor an address; nothing, unless the table is small."""
        return queryset.none()
