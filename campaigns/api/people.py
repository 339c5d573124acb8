"""Contacts, lists, enrolments; and what must not be mailed."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django_filters import rest_framework as filters
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.response import Response

from campaigns.models import Contact, ContactList, Enrolment, Suppression
from campaigns.services import suppression
from outreach.common import addresses
from outreach.common.errors import BadInput
from tenants.api.base import ReadOnlyTenantViewSet
from tenants.api.filters import IdFilter, before, choice, since
from tenants.api.shapes import Input, Output
from tenants.models import Tenant

MOST_ENTRIES = 1000


class ContactOutput(Output):
    class Meta:
        model = Contact
        fields = (
            *("id", "email", "first_name", "last_name", "company", "country", "time_zone", "person_kind"),
            *("source", "lawful_basis", "basis_date", "basis_expires_on", "basis_evidence", "fields", "created_at"),
            *("validity", "validity_reason", "validated_at"),
        )


class ListOutput(Output):
    class Meta:
        model = ContactList
        fields = ("id", "name", "archived_at", "created_at")


class EnrolmentOutput(Output):
    class Meta:
        model = Enrolment
        fields = (
            *("id", "campaign", "contact", "mailbox", "step", "status", "stop_reason"),
            *("due_at", "waits_for", "zone", "created_at"),
        )


class SuppressionOutput(Output):
    class Meta:
        model = Suppression
        fields = (*("id", "campaign", "scope", "kind", "hint", "domain", "reason", "via", "created_at", "lifted_at"),)


class SuppressionInput(Input):
    """Addresses, domains or `*.` wildcards, with the reason that holds for all of them."""

    entries = serializers.ListField(
        child=serializers.CharField(max_length=254), min_length=1, max_length=MOST_ENTRIES, allow_empty=False
    )
    reason = serializers.ChoiceField(choices=Suppression.Reason.choices, default=Suppression.Reason.MANUAL)


class LiftInput(Input):
    """Why these people may be mailed again."""

    reason = serializers.CharField(max_length=200)


class Lifted(Output):
    class Meta:
        model = Suppression
        fields = ("id", "lifted_at")


class SuppressionResult(serializers.Serializer):
    """How many of the entries are new."""

    added = serializers.IntegerField()


class ContactFilters(filters.FilterSet):
    email = filters.CharFilter(method="by_email", max_length=254)
    contact_list = IdFilter(field_name="entries__contact_list")
    validity = filters.ChoiceFilter(
        method="by_validity", choices=[("new", "not validated yet"), *Contact.Validity.choices[1:]]
    )
    created_since, created_before = since("created_at"), before("created_at")

    def by_validity(self, rows: QuerySet, name: str, value: str) -> QuerySet:
        """A verdict on the address; `new` for those without one."""
        return rows.filter(validity="" if value == "new" else value)

    def by_email(self, rows: QuerySet, name: str, value: str) -> QuerySet:
        """The one contact of that address, in whatever way it is written."""
        try:
            return rows.filter(email_key=addresses.parse(value).key)
        except BadInput as error:
            raise serializers.ValidationError({name: [str(error)]}) from error


class EnrolmentFilters(filters.FilterSet):
    campaign, contact = IdFilter(field_name="campaign"), IdFilter(field_name="contact")
    status = choice(Enrolment, "status")


class SuppressionFilters(filters.FilterSet):
    kind, scope, reason = choice(Suppression, "kind"), choice(Suppression, "scope"), choice(Suppression, "reason")
    campaign = IdFilter(field_name="campaign")
    created_since, created_before = since("created_at"), before("created_at")


class ContactViewSet(ReadOnlyTenantViewSet):
    """People who may be written to, and on what ground."""

    view_permission = "campaigns.view"
    queryset = Contact.objects.order_by("pk")
    serializer_class = ContactOutput
    filterset_class = ContactFilters


class ListViewSet(ReadOnlyTenantViewSet):
    """Named sets of contacts."""

    view_permission = "campaigns.view"
    queryset = ContactList.objects.order_by("pk")
    serializer_class = ListOutput


class EnrolmentViewSet(ReadOnlyTenantViewSet):
    """Contacts on their way through campaigns."""

    view_permission = "campaigns.view"
    queryset = Enrolment.objects.order_by("pk")
    serializer_class = EnrolmentOutput
    filterset_class = EnrolmentFilters


class SuppressionViewSet(ReadOnlyTenantViewSet):
    """What must not be mailed, addresses masked. Entries of the platform hold besides and don't show here."""

    view_permission = "campaigns.view"
    permissions_of = {"create": "campaigns.suppress", "lift": "campaigns.lift"}
    queryset = Suppression.objects.order_by("pk")
    serializer_class = SuppressionOutput
    filterset_class = SuppressionFilters

    @extend_schema(request=SuppressionInput, responses={201: SuppressionResult})
    def create(self, request: Any) -> Response:
        """Record entries for the whole tenant; what waits for them is stopped before this answers."""
        values = self.given(SuppressionInput)
        (tenant_id,) = request.actor.within
        tenant = Tenant.objects.get(pk=tenant_id)
        added = suppression.suppress(tenant, values["entries"], actor=request.actor, reason=values["reason"], via="api")
        return Response({"added": added}, status=201)

    @extend_schema(request=LiftInput, responses=Lifted)
    @action(detail=True, methods=["post"])
    def lift(self, request: Any, pk: str) -> Response:
        """Let these people be mailed again. 409 `approval_needed` where a second person has to agree."""
        row = self.get_object()  # first: of a row that is not there nothing is judged
        row = suppression.lift(row, actor=request.actor, **self.given(LiftInput))
        return Response(Lifted(row).data)
