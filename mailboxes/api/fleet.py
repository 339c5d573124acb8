"""The fleet: to look at, and its caps to change. Neither user names nor passwords are among the columns."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django_filters import rest_framework as filters
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.response import Response

from mailboxes import labels
from mailboxes.models import Allowance, Mailbox, Pool, ProviderAccount, SendingDomain
from mailboxes.services import mailboxes
from tenants.api.base import ReadOnlyTenantViewSet
from tenants.api.filters import IdFilter, choice, since
from tenants.api.shapes import Input, Output


class PoolOutput(Output):
    class Meta:
        model = Pool
        fields = ("id", "name", "archived_at", "created_at")


class DomainOutput(Output):
    class Meta:
        model = SendingDomain
        fields = (
            *("id", "name", "state", "state_reason", "checked_at", "hourly_cap", "daily_cap", "ramp_cap"),
            *("dkim_selectors", "tracking_host", "return_path", "registrar", "registered_on", "renews_on"),
            *("retired_at", "created_at"),
        )


class AccountOutput(Output):
    class Meta:
        model = ProviderAccount
        fields = (
            *("id", "kind", "host", "port", "security", "state", "state_reason", "blocked_until"),
            *("allowed_bases", "bases_link", "bases_on", "created_at"),
        )


class MailboxOutput(Output):
    class Meta:
        model = Mailbox
        fields = (
            *("id", "pool", "domain", "home", "address", "display_name", "state", "hold", "state_reason"),
            *("daily_cap", "min_gap_seconds", "weight", "health", "reserve_share"),
            *("last_dot_at", "blocked_until", "failures", "tags", "signature", "created_at"),
        )


class AllowanceOutput(Output):
    class Meta:
        model = Allowance
        fields = ("id", "scope", "key", "period_start", "cap", "reserved")


class DomainFilters(filters.FilterSet):
    state = choice(SendingDomain, "state")
    name = filters.CharFilter(max_length=253)


class AccountFilters(filters.FilterSet):
    state = choice(ProviderAccount, "state")


class MailboxFilters(filters.FilterSet):
    pool, domain, home = IdFilter(field_name="pool"), IdFilter(field_name="domain"), IdFilter(field_name="home")
    state, hold = choice(Mailbox, "state"), choice(Mailbox, "hold")
    address = filters.CharFilter(field_name="address_key", max_length=254)
    tag = filters.CharFilter(field_name="tags", max_length=labels.TAG_CHARS, method="has_tag")

    def has_tag(self, queryset: QuerySet, name: str, value: str) -> QuerySet:
        return queryset.filter(tags__contains=[value])


class AllowanceFilters(filters.FilterSet):
    scope = choice(Allowance, "scope")
    key = IdFilter(field_name="key")
    period_since = since("period_start")


class PoolViewSet(ReadOnlyTenantViewSet):
    """Mailboxes that serve one line of business."""

    view_permission = "mailboxes.view"
    queryset = Pool.objects.order_by("pk")
    serializer_class = PoolOutput


class DomainViewSet(ReadOnlyTenantViewSet):
    """Domains of From addresses."""

    view_permission = "mailboxes.view"
    queryset = SendingDomain.objects.order_by("pk")
    serializer_class = DomainOutput
    filterset_class = DomainFilters


class AccountViewSet(ReadOnlyTenantViewSet):
    """Ways out: servers that mailboxes leave by."""

    view_permission = "mailboxes.view"
    queryset = ProviderAccount.objects.order_by("pk")
    serializer_class = AccountOutput
    filterset_class = AccountFilters


class CapInput(Input):
    """Messages a day."""

    daily_cap = serializers.IntegerField(min_value=0, max_value=100_000)


class CapOfMailbox(Output):
    class Meta:
        model = Mailbox
        fields = ("id", "daily_cap")


class MailboxViewSet(ReadOnlyTenantViewSet):
    """Sender mailboxes with cap, weight and health."""

    view_permission = "mailboxes.view"
    permissions_of = {"set_cap": "mailboxes.set_cap"}
    queryset = Mailbox.objects.order_by("pk")
    serializer_class = MailboxOutput
    filterset_class = MailboxFilters

    @extend_schema(request=CapInput, responses=CapOfMailbox)
    @action(detail=True, methods=["post"])
    def set_cap(self, request: Any, pk: str) -> Response:
        """The cap from now on. 409 `approval_needed` for a raise to which a second person has to agree."""
        row = self.get_object()  # first: of a row that is not there nothing is judged
        row = mailboxes.set_cap(row, actor=request.actor, **self.given(CapInput))
        return Response(CapOfMailbox(row).data)


class AllowanceViewSet(ReadOnlyTenantViewSet):
    """How much of each cap is reserved. `key` is the id of what `scope` names."""

    view_permission = "mailboxes.view"
    queryset = Allowance.objects.order_by("pk")
    serializer_class = AllowanceOutput
    filterset_class = AllowanceFilters
