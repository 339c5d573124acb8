"""The ledger and what led to it, to look at: messages, attempts, batches, planner runs."""

from __future__ import annotations

from django_filters import rest_framework as filters

from campaigns.models import Attempt, Batch, Message, PlanRun
from tenants.api.base import ReadOnlyTenantViewSet
from tenants.api.filters import IdFilter, before, choice, since
from tenants.api.shapes import Output


class MessageOutput(Output):
    class Meta:
        model = Message
        fields = (
            *("id", "campaign", "step", "variant", "enrolment", "contact", "mailbox", "batch", "status", "reason"),
            *("due_at", "not_after", "tries", "message_id", "wire_message_id", "reply_text", "outcome"),
            *("outcome_reason", "outcome_at", "replied_at", "opted_out_at", "planned_at", "sent_at"),
        )


class AttemptOutput(Output):
    class Meta:
        model = Attempt
        fields = (
            *("id", "message_ref", "mailbox_ref", "at", "phase", "code", "enhanced", "text", "result"),
            "duration_ms",
        )


class BatchOutput(Output):
    class Meta:
        model = Batch
        fields = ("id", "campaign", "size", "created_at", "rung_at", "rings", "done_at")


class PlanRunOutput(Output):
    class Meta:
        model = PlanRun
        fields = (
            *("id", "started_at", "finished_at", "seconds", "looked_at", "planned", "retries", "returned"),
            *("taken_back", "refused", "limits"),
        )


class MessageFilters(filters.FilterSet):
    campaign, contact = IdFilter(field_name="campaign"), IdFilter(field_name="contact")
    enrolment, mailbox, batch = (
        IdFilter(field_name="enrolment"),
        IdFilter(field_name="mailbox"),
        IdFilter(field_name="batch"),
    )
    status, outcome = choice(Message, "status"), choice(Message, "outcome")
    message_id = filters.CharFilter(max_length=300)
    sent_since, sent_before = since("sent_at"), before("sent_at")


class AttemptFilters(filters.FilterSet):
    message = IdFilter(field_name="message_ref")
    mailbox = IdFilter(field_name="mailbox_ref")
    at_since, at_before = since("at"), before("at")


class BatchFilters(filters.FilterSet):
    campaign = IdFilter(field_name="campaign")


class PlanRunFilters(filters.FilterSet):
    started_since, started_before = since("started_at"), before("started_at")


class MessageViewSet(ReadOnlyTenantViewSet):
    """One row for each mail, which alone says whether it went out."""

    view_permission = "campaigns.view"
    queryset = Message.objects.order_by("pk")
    serializer_class = MessageOutput
    filterset_class = MessageFilters


class AttemptViewSet(ReadOnlyTenantViewSet):
    """Tries that did not end in a 250."""

    view_permission = "campaigns.view"
    queryset = Attempt.objects.order_by("pk")
    serializer_class = AttemptOutput
    filterset_class = AttemptFilters


class BatchViewSet(ReadOnlyTenantViewSet):
    """Due messages that were handed to a worker as one piece of work."""

    view_permission = "campaigns.view"
    queryset = Batch.objects.order_by("pk")
    serializer_class = BatchOutput
    filterset_class = BatchFilters


class PlanRunViewSet(ReadOnlyTenantViewSet):
    """What each planner run looked at and did."""

    view_permission = "campaigns.view"
    queryset = PlanRun.objects.order_by("pk")
    serializer_class = PlanRunOutput
    filterset_class = PlanRunFilters
