"""What goes out and what comes in: rows with named columns, inputs without surprises."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rest_framework import serializers


class Output(serializers.ModelSerializer):
    """A row to read. Nothing is ever written through one; services take plain values."""

    def get_fields(self) -> dict[str, Any]:
        fields = super().get_fields()
        for field in fields.values():
            field.read_only = True
        return fields


class Input(serializers.Serializer):
    """What an act takes. A field that it does not name is refused, so that nobody believes it was heard."""

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        if isinstance(data, Mapping):
            unknown = [str(name)[:100] for name in data if name not in self.fields]
            if unknown:
                raise serializers.ValidationError({name: ["There is no such field."] for name in unknown})
        return super().to_internal_value(data)


class NoInput(Input):
    """For acts that take nothing."""


class Reason(Input):
    """Why; stands in the row and in the audit."""

    reason = serializers.CharField(max_length=200, required=False, default="", allow_blank=True)
