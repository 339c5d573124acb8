"""Contacts, lists, enrolments; and what must not be mailed."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from django_filters import rest_framework as filters
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.response import Response

from campaigns.models import Contact, ContactList, Enrolment, Message, Suppression, SuppressionList
from campaigns.services import contacts, conversations, replies, suppression, suppression_lists
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
            *("conversation_since", "conversation_via", "quiet_until"),
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
            *("due_at", "waits_for", "away_until", "zone", "created_at"),
        )


class AnsweredInput(Input):
    """`message` is the one that was answered, where that is known; `at` when the answer was written."""

    message = serializers.IntegerField(required=False, min_value=1)
    at = serializers.DateTimeField(required=False)


class NotInterestedInput(AnsweredInput):
    """For how long nothing is sent."""

    quiet_days = serializers.IntegerField(required=False, min_value=1, max_value=conversations.MOST_QUIET_DAYS)


class ReleaseInput(Input):
    """Why, and for how many days nothing is sent all the same."""

    reason = serializers.CharField(max_length=200, required=False, default="", allow_blank=True)
    quiet_days = serializers.IntegerField(
        required=False, default=0, min_value=0, max_value=conversations.MOST_QUIET_DAYS
    )


class ConversationOutput(Output):
    class Meta:
        model = Contact
        fields = ("id", "conversation_since", "conversation_via", "quiet_until")


class SuppressionOutput(Output):
    class Meta:
        model = Suppression
        fields = (
            *("id", "campaign", "suppression_list", "scope", "kind", "hint", "domain", "reason", "source", "proof"),
            *("via", "created_at", "lifted_at", "lift_reason"),
        )


class SuppressionInput(Input):
    """Addresses, domains or `*.` wildcards, with the reason that holds for all of them."""

    entries = serializers.ListField(
        child=serializers.CharField(max_length=254), min_length=1, max_length=MOST_ENTRIES, allow_empty=False
    )
    reason = serializers.ChoiceField(choices=Suppression.Reason.choices, default=Suppression.Reason.MANUAL)
    source = serializers.CharField(max_length=200, default="", allow_blank=True)
    proof = serializers.CharField(max_length=500, default="", allow_blank=True)
    suppression_list = serializers.IntegerField(
        min_value=1, default=None, allow_null=True, help_text="Id of the list they stand in; opt-outs have their own."
    )


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


class SuppressionListOutput(Output):
    entries = serializers.SerializerMethodField(help_text="How many entries hold.")

    class Meta:
        model = SuppressionList
        fields = (*("id", "name", "kind", "owner", "source", "entries", "created_at", "removed_at", "removed_reason"),)

    def get_entries(self, row: Any) -> int:
        return row.holding if hasattr(row, "holding") else 0  # one just made has none


class SuppressionListInput(Input):
    """An empty list; its entries come by POST to suppressions."""

    name = serializers.CharField(max_length=100)
    kind = serializers.ChoiceField(
        choices=[each for each in SuppressionList.Kind.choices if each[0] != SuppressionList.Kind.OPT_OUT]
    )
    owner = serializers.CharField(max_length=200, default="", allow_blank=True)
    source = serializers.CharField(max_length=500, default="", allow_blank=True)


class ListRemoved(serializers.Serializer):
    """How many entries were lifted with it."""

    lifted = serializers.IntegerField()


class ContactFilters(filters.FilterSet):
    email = filters.CharFilter(method="by_email", max_length=254)
    contact_list = IdFilter(field_name="entries__contact_list")
    validity = filters.ChoiceFilter(
        method="by_validity", choices=[("new", "not validated yet"), *Contact.Validity.choices[1:]]
    )
    created_since, created_before = since("created_at"), before("created_at")
    in_conversation = filters.BooleanFilter(field_name="conversation_since", lookup_expr="isnull", exclude=True)

    def by_validity(self, rows: QuerySet, name: str, value: str) -> QuerySet:
        """A verdict on the address; `new` for those without one."""
        return rows.filter(validity="" if value == "new" else value)

    def by_email(self, rows: QuerySet, name: str, value: str) -> QuerySet:
        """The one contact of that address, in whatever way it is written."""
        try:
            return rows.filter(email_key__in=contacts.keys_of(value))
        except BadInput as error:
            raise serializers.ValidationError({name: [str(error)]}) from error


class EnrolmentFilters(filters.FilterSet):
    campaign, contact = IdFilter(field_name="campaign"), IdFilter(field_name="contact")
    status = choice(Enrolment, "status")


class SuppressionFilters(filters.FilterSet):
    kind, scope, reason = choice(Suppression, "kind"), choice(Suppression, "scope"), choice(Suppression, "reason")
    campaign = IdFilter(field_name="campaign")
    suppression_list = IdFilter(field_name="suppression_list")
    covering = filters.CharFilter(method="by_cover", max_length=254)
    hint = filters.CharFilter(field_name="hint", lookup_expr="exact", max_length=254)
    created_since, created_before = since("created_at"), before("created_at")

    def by_cover(self, rows: QuerySet, name: str, value: str) -> QuerySet:
        """Whatever of the tenant's own entries covers that address or domain, in whatever way it is written."""
        hashes = suppression.covering(value.strip())
        if not hashes:
            raise serializers.ValidationError({name: ["Write a whole address or a domain."]})
        return rows.filter(hash__in=hashes)


class ContactViewSet(ReadOnlyTenantViewSet):
    """People who may be written to, and on what ground."""

    view_permission = "campaigns.view"
    permissions_of = dict.fromkeys(("answered", "not_interested", "release"), "campaigns.converse")
    queryset = Contact.objects.order_by("pk")
    serializer_class = ContactOutput
    filterset_class = ContactFilters

    def _answered(self, service: Any, shape: type[Input]) -> Response:
        contact = self.get_object()
        values = self.given(shape)
        subject: Contact | Message = contact
        if (pk := values.pop("message", None)) is not None:
            subject = get_object_or_404(Message.objects.filter(contact=contact), pk=pk)
        return Response(ConversationOutput(service(subject, actor=self.request.actor, via="api", **values)).data)

    @extend_schema(request=AnsweredInput, responses=ConversationOutput)
    @action(detail=True, methods=["post"])
    def answered(self, request: Any, pk: str) -> Response:
        """The person answered: no campaign writes any more until a release, and the one that was answered ends."""
        return self._answered(replies.human, AnsweredInput)

    @extend_schema(request=NotInterestedInput, responses=ConversationOutput)
    @action(detail=True, methods=["post"], url_path="not-interested")
    def not_interested(self, request: Any, pk: str) -> Response:
        """The person does not want to hear of it: the campaign ends, and nothing is sent for a while."""
        return self._answered(replies.not_interested, NotInterestedInput)

    @extend_schema(request=ReleaseInput, responses=ConversationOutput)
    @action(detail=True, methods=["post"])
    def release(self, request: Any, pk: str) -> Response:
        """End the conversation: campaigns write again, at once or after `quiet_days`. 409 for who is in none."""
        contact = conversations.release(self.get_object(), actor=request.actor, **self.given(ReleaseInput))
        return Response(ConversationOutput(contact).data)


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
        list_id = values.pop("suppression_list")
        if list_id is not None:
            values["suppression_list"] = SuppressionList.objects.filter(tenant=tenant, pk=list_id).first()
            if values["suppression_list"] is None:
                raise BadInput("There is no such list.", field="suppression_list")
        added = suppression.suppress(tenant, actor=request.actor, via="api", **values)
        return Response({"added": added}, status=201)

    @extend_schema(request=LiftInput, responses=Lifted)
    @action(detail=True, methods=["post"])
    def lift(self, request: Any, pk: str) -> Response:
        """Let these people be mailed again. 409 `approval_needed` where a second person has to agree."""
        row = self.get_object()  # first: of a row that is not there nothing is judged
        row = suppression.lift(row, actor=request.actor, **self.given(LiftInput))
        return Response(Lifted(row).data)


class SuppressionListViewSet(ReadOnlyTenantViewSet):
    """Named lists of suppressions. That of opt-outs makes itself and stays."""

    view_permission = "campaigns.view"
    permissions_of = {"create": "campaigns.suppress", "remove": "campaigns.lift"}
    queryset = SuppressionList.objects.annotate(holding=suppression_lists.HOLDING).order_by("pk")
    serializer_class = SuppressionListOutput

    @extend_schema(request=SuppressionListInput, responses={201: SuppressionListOutput})
    def create(self, request: Any) -> Response:
        """Make an empty list."""
        values = self.given(SuppressionListInput)
        (tenant_id,) = request.actor.within
        tenant = Tenant.objects.get(pk=tenant_id)
        row = suppression_lists.create(tenant, values.pop("name"), actor=request.actor, **values)
        return Response(self.get_serializer(row).data, status=201)

    @extend_schema(request=LiftInput, responses=ListRemoved)
    @action(detail=True, methods=["post"])
    def remove(self, request: Any, pk: str) -> Response:
        """Lift all its entries as one. 409 `approval_needed` where a second person has to agree."""
        row = suppression_lists.remove(self.get_object(), actor=request.actor, **self.given(LiftInput))
        return Response({"lifted": row.lifted})
