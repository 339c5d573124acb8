"""What waits for a second person: to look at, and to ask. Agreeing is for people, in the console."""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django_filters import rest_framework as filters
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.response import Response

from outreach.common.errors import BadInput, Missing
from tenants import acts
from tenants.api.base import ReadOnlyTenantViewSet
from tenants.api.filters import IdFilter, choice
from tenants.api.shapes import Input, Output
from tenants.models import Approval
from tenants.services import actors, approvals


class ApprovalOutput(Output):
    class Meta:
        model = Approval
        fields = (
            *("id", "act", "subject", "subject_id", "terms", "reason", "state", "asked_at", "expires_at"),
            *("decided_at", "note", "used_at"),
        )


class ApprovalInput(Input):
    """Which act on which row, and why. `values` are what the act is told besides, as in {"daily_cap": 80}."""

    act = serializers.CharField(max_length=40)
    subject_id = serializers.IntegerField(min_value=1, max_value=2**63 - 1)
    reason = serializers.CharField(max_length=approvals.LONGEST)
    values = serializers.DictField(child=serializers.IntegerField(min_value=0, max_value=2**31 - 1), default=dict)


class ApprovalFilters(filters.FilterSet):
    state = choice(Approval, "state")
    act = filters.CharFilter(max_length=40)
    subject_id = IdFilter(field_name="subject_id")


class ApprovalViewSet(ReadOnlyTenantViewSet):
    """Acts that a second person was asked to agree to."""

    view_permission = "tenants.view"
    queryset = Approval.objects.order_by("pk")
    serializer_class = ApprovalOutput
    filterset_class = ApprovalFilters

    @extend_schema(request=ApprovalInput, responses={201: ApprovalOutput})
    def create(self, request: Any) -> Response:
        """Ask, for an act that answered `approval_needed`. Once the state is `granted`, do it again."""
        values = self.given(ApprovalInput)
        act = acts.get(values["act"])
        if act is None:
            raise BadInput(f"There is no act {values['act']!r}.", field="act")
        if set(values["values"]) != set(act.given):
            raise BadInput(f"{act.name} takes {', '.join(act.given) or 'no values'}.", field="values")
        request.actor.require(act.permission)
        rows = actors.visible_to(request.actor, apps.get_model(act.model)._default_manager.all(), act.permission)
        row = rows.filter(pk=values["subject_id"]).first()
        if row is None:
            raise Missing("There is no such row.", field="subject_id")
        made = approvals.ask(row, act.name, actor=request.actor, reason=values["reason"], **values["values"])
        return Response(self.get_serializer(made).data, status=201)
