"""Filters of lists: what a filter set names, and no other column however it is asked for."""

from __future__ import annotations

from typing import Any

from django import forms
from django_filters import rest_framework as filters
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field

LARGEST_ID = 2**63 - 1


@extend_schema_field(OpenApiTypes.INT64)
class IdFilter(filters.Filter):
    """The id of another row."""

    field_class = forms.IntegerField

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"min_value": 1, "max_value": LARGEST_ID, **kwargs})


def since(field_name: str) -> filters.IsoDateTimeFilter:
    """At that moment or later (ISO 8601)."""
    return filters.IsoDateTimeFilter(field_name=field_name, lookup_expr="gte")


def before(field_name: str) -> filters.IsoDateTimeFilter:
    """Earlier than that moment (ISO 8601)."""
    return filters.IsoDateTimeFilter(field_name=field_name, lookup_expr="lt")


def choice(model: Any, field_name: str) -> filters.ChoiceFilter:
    """One of the values that the column may have."""
    return filters.ChoiceFilter(field_name=field_name, choices=model._meta.get_field(field_name).choices)
