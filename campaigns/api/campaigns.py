"""Campaigns and their steps; and the acts that start and stop one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.utils.timezone import now
from django_filters import rest_framework as filters
from drf_spectacular.utils import PolymorphicProxySerializer, extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.response import Response

from campaigns import reports
from campaigns.api.explain import ExplanationOutput
from campaigns.findings import Level
from campaigns.models import Campaign, Step, TestSend, Variant
from campaigns.pipeline import explain, explain_stops, explain_today, previewing
from campaigns.pipeline.forecasting import loading, results
from campaigns.pipeline.forecasting.terms import Limit
from campaigns.services import campaigns, cloning, preflighting, scheduling, specs, steps, testing
from tenants.api.base import ReadOnlyTenantViewSet
from tenants.api.filters import IdFilter, before, choice, since
from tenants.api.shapes import Input, Output, Reason


class CampaignOutput(Output):
    class Meta:
        model = Campaign
        fields = (
            *("id", "name", "status", "status_reason", "pool", "contact_list"),
            *("window_from", "window_until", "window_days", "window_zone", "holidays", "pace", "batch_size"),
            *("daily_cap", "total_cap", "stop_on_colleague", "doubt", "click_tracking"),
            *("scheduled_for", "started_at", "completed_at", "created_at"),
        )


class CampaignState(Output):
    """What an act answers to a key that may not look at campaigns."""

    class Meta:
        model = Campaign
        fields = ("id", "status")


AFTER_ACT = PolymorphicProxySerializer(
    "CampaignAfterAct",
    [CampaignOutput, CampaignState],
    resource_type_field_name=None,
)


class VariantOutput(Output):
    class Meta:
        model = Variant
        fields = ("id", "label", "subject", "text_body", "html_body")


class StepOutput(Output):
    variants = VariantOutput(many=True, read_only=True)

    class Meta:
        model = Step
        fields = (
            *(
                "id",
                "campaign",
                "position",
                "version",
                "delay_hours",
                "delay_days",
                "subject",
                "text_body",
                "html_body",
            ),
            *("variants", "frozen_at", "created_at"),
        )


class RevisionInput(Input):
    """The block of a step as a description of a campaign has it, whole, and which step it takes the place of."""

    position = serializers.IntegerField(min_value=1, max_value=specs.MAX_STEPS)
    step = serializers.DictField()
    reason = serializers.CharField(max_length=200, required=False, default="", allow_blank=True)


class ForecastDay(serializers.Serializer):
    day = serializers.DateField()
    sent = serializers.IntegerField(help_text="Mails that go out on the day.")
    waiting = serializers.IntegerField(help_text="Mails due at its end.")
    limit = serializers.ChoiceField(list(Limit), help_text="What keeps it from sending more.")
    limit_name = serializers.CharField(help_text="Whose limit, where several share one.")


class CampaignForecast(serializers.Serializer):
    """When the campaign is done, and what becomes of it day by day; no days if there is nothing to foresee."""

    id = serializers.IntegerField()
    made_at = serializers.DateTimeField()
    total = serializers.IntegerField(help_text="Mails that it still has to send.")
    left = serializers.IntegerField(help_text="Of them those that remain after the days looked at.")
    stopped = serializers.IntegerField(help_text="Of these the ones that belong to mailboxes that are stopped.")
    done_on = serializers.DateField(allow_null=True, help_text="Day of the last mail; null: not within these days.")
    limit = serializers.ChoiceField(list(Limit), help_text="What limits most.")
    limit_name = serializers.CharField()
    days = ForecastDay(many=True)


class FindingOutput(serializers.Serializer):
    code = serializers.CharField(help_text="Stable; a warning is accepted by it.")
    level = serializers.ChoiceField([str(level) for level in Level])
    sentence, remedy = serializers.CharField(), serializers.CharField()
    count = serializers.IntegerField(allow_null=True, help_text="Rows that it speaks of.")
    total = serializers.IntegerField(allow_null=True, help_text="Of how many.")


class WarningOutput(FindingOutput):
    accepted = serializers.BooleanField()


class PreflightOutput(serializers.Serializer):
    """Errors block a launch, warnings have to be accepted, notes only tell."""

    at = serializers.DateTimeField()
    ready = serializers.BooleanField(help_text="No errors, and no warning that nobody accepted.")
    errors, notes = FindingOutput(many=True), FindingOutput(many=True)
    warnings = WarningOutput(many=True)
    seconds = serializers.DictField(child=serializers.FloatField(), help_text="What each check took.")


class Accepting(Input):
    accept = serializers.ListField(
        child=serializers.CharField(max_length=300), required=False, max_length=200,
        help_text="Codes of the warnings that you accept.",
    )  # fmt: skip


class Scheduling(Accepting):
    at = serializers.DateTimeField(help_text="When it starts by itself.")


class Naming(Input):
    name = serializers.CharField(max_length=200)


class Testing(Input):
    to = serializers.CharField(max_length=254, help_text="Somebody of the console, or a verified seed address.")
    step = serializers.IntegerField(min_value=1, max_value=32767, required=False, help_text="Position; else the first.")
    contact = serializers.CharField(
        max_length=254, required=False, help_text="Whose mail it would be: an address on the list; else the first."
    )
    mailbox = serializers.CharField(
        max_length=254, required=False, help_text="One of the pool; else one that may send."
    )


class TestOutput(Output):
    __test__ = False

    class Meta:
        model = TestSend
        fields = ("id", "state", "campaign", "step", "mailbox", "hint", "reason", "answer", "created_at", "done_at")


class Recalled(serializers.Serializer):
    id, status = serializers.IntegerField(), serializers.CharField()
    taken_back = serializers.IntegerField(help_text="Mails that were planned and have not gone.")


class PreviewHeader(serializers.Serializer):
    name, value = serializers.CharField(), serializers.CharField(help_text="Decoded.")


class PreviewHindrance(serializers.Serializer):
    name = serializers.CharField(help_text="Of the gate, or the code of an error such as missing_field.")
    title, value = serializers.CharField(help_text="What is not so."), serializers.CharField()


class MailPreview(serializers.Serializer):
    """One mail as one person would get it; without headers and parts where it can't be made. Nothing is sent.

    The link to unsubscribe in it does not work.
    """

    campaign, contact, mailbox = serializers.IntegerField(), serializers.IntegerField(), serializers.IntegerField()
    step, variant = serializers.IntegerField(), serializers.CharField(help_text="Label of the wording, or empty.")
    to, subject = serializers.CharField(), serializers.CharField()
    headers = PreviewHeader(many=True)
    text, html = serializers.CharField(), serializers.CharField()
    size = serializers.IntegerField(help_text="Bytes of the message.")
    hindrances = PreviewHindrance(many=True, help_text="What keeps it from this person now; empty: nothing.")

    def get_fields(self) -> dict[str, serializers.Field]:
        return {**super().get_fields(), "from": serializers.CharField()}  # no name for an attribute


class PreviewQuery(Input):
    contact = serializers.CharField(max_length=254, help_text="Address of a person of the list.")
    step = serializers.IntegerField(min_value=1, max_value=20, default=1)
    variant = serializers.CharField(max_length=20, default="", allow_blank=True)


class CampaignFilters(filters.FilterSet):
    status = choice(Campaign, "status")
    name = filters.CharFilter(max_length=200)
    pool, contact_list = IdFilter(field_name="pool"), IdFilter(field_name="contact_list")
    created_since, created_before = since("created_at"), before("created_at")


class StepFilters(filters.FilterSet):
    campaign = IdFilter(field_name="campaign")


class CampaignViewSet(ReadOnlyTenantViewSet):
    """Sequences of messages to one list from one pool."""

    view_permission = "campaigns.view"
    permissions_of = {
        "preflight": "campaigns.view",
        "start": "campaigns.start",
        "schedule": "campaigns.start",
        "unschedule": "campaigns.pause",
        "recall": "campaigns.pause",
        "clone": "campaigns.create",
        "test": "campaigns.test",
        "pause": "campaigns.pause",
        "resume": "campaigns.resume",
        "cancel": "campaigns.cancel",
        "revise": "campaigns.start",
    }
    questions = {"preview": PreviewQuery}
    queryset = Campaign.objects.order_by("pk")
    serializer_class = CampaignOutput
    filterset_class = CampaignFilters

    def act(self, service: Callable[..., Campaign], shape: type[Input]) -> Response:
        """Do it; answer with the campaign, or with its id and status alone where the key may only act."""
        values = self.given(shape)
        campaign = service(self.get_object(), actor=self.request.actor, **values)
        may_look = self.request.actor.can(self.view_permission, campaign.tenant_id)
        shown = CampaignOutput if may_look else CampaignState
        return Response(shown(campaign, context=self.get_serializer_context()).data)

    @extend_schema(responses=PreflightOutput)
    @action(detail=True, methods=["get"])
    def preflight(self, request: Any, pk: str) -> Response:
        """What keeps it from starting, what somebody has to accept first, what is worth knowing."""
        campaign = self.get_object()
        return Response(preflighting.look(campaign).as_dict(campaign.accepted_warnings))

    @extend_schema(request=Accepting, responses=AFTER_ACT)
    @action(detail=True, methods=["post"])
    def start(self, request: Any, pk: str) -> Response:
        """Launch a draft: freeze its steps, enrol its list. 409 with everything missing, or with what to accept."""
        return self.act(campaigns.start, Accepting)

    @extend_schema(request=Scheduling, responses=AFTER_ACT)
    @action(detail=True, methods=["post"])
    def schedule(self, request: Any, pk: str) -> Response:
        """Let it start by itself at that time; everything is looked at now, and once more then."""
        self.get_object()  # before what is given: of a stranger's row nothing is said
        return self.act(scheduling.schedule, Scheduling)

    @extend_schema(request=Reason, responses=AFTER_ACT)
    @action(detail=True, methods=["post"])
    def unschedule(self, request: Any, pk: str) -> Response:
        """Make a scheduled campaign a draft again."""
        return self.act(scheduling.unschedule, Reason)

    @extend_schema(request=Reason, responses=Recalled)
    @action(detail=True, methods=["post"])
    def recall(self, request: Any, pk: str) -> Response:
        """Pause, and take back everything that is planned and has not gone."""
        campaign = self.get_object()
        count = campaigns.recall(campaign, actor=request.actor, **self.given(Reason))
        campaign.refresh_from_db()
        return Response({"id": campaign.pk, "status": campaign.status, "taken_back": count})

    @extend_schema(request=Naming, responses=AFTER_ACT)
    @action(detail=True, methods=["post"])
    def clone(self, request: Any, pk: str) -> Response:
        """A draft with the same list, pool, window and wording, without people."""
        return self.act(cloning.clone, Naming)

    @extend_schema(request=Testing, responses=TestOutput)
    @action(detail=True, methods=["post"])
    def test(self, request: Any, pk: str) -> Response:
        """Queue a test mail of one step. 409 with what stands against it, 429 after too many within an hour."""
        made = testing.send(self.get_object(), actor=request.actor, **self.given(Testing))
        return Response(TestOutput(made, context=self.get_serializer_context()).data, status=202)

    @extend_schema(request=Reason, responses=AFTER_ACT)
    @action(detail=True, methods=["post"])
    def pause(self, request: Any, pk: str) -> Response:
        """Stop handing out this campaign's mail."""
        return self.act(campaigns.pause, Reason)

    @extend_schema(request=Reason, responses=AFTER_ACT)
    @action(detail=True, methods=["post"])
    def resume(self, request: Any, pk: str) -> Response:
        """Let a paused or halted campaign go on."""
        return self.act(campaigns.resume, Reason)

    @extend_schema(request=Reason, responses=AFTER_ACT)
    @action(detail=True, methods=["post"])
    def cancel(self, request: Any, pk: str) -> Response:
        """End the campaign for good."""
        return self.act(campaigns.cancel, Reason)

    @extend_schema(request=RevisionInput, responses={201: StepOutput})
    @action(detail=True, methods=["post"])
    def revise(self, request: Any, pk: str) -> Response:
        """Change a step of a launched campaign: a new version, for whoever is planned from now on."""
        campaign = self.get_object()  # before what is given: of a stranger's row nothing is said
        values = self.given(RevisionInput)
        made = steps.revise(campaign, values["position"], values["step"], actor=request.actor, reason=values["reason"])
        return Response(StepOutput(made).data, status=201)

    @extend_schema(responses=CampaignForecast)
    @action(detail=True, methods=["get"])
    def forecast(self, request: Any, pk: str) -> Response:
        """What 28 days bring; a campaign that does not run is taken as started now."""
        campaign = self.get_object()
        made_at = now()
        draft = None if campaign.status in reports.FINISHED else campaign
        found = loading.forecast(campaign.tenant, made_at, draft=draft)
        nothing = {"total": 0, "left": 0, "stopped": 0, "done_on": None, "limit": "", "limit_name": "", "days": []}
        mine = [results.of_campaign(one) for one in found.campaigns if one.id == campaign.pk]
        values = {"id": campaign.pk, **(mine[0] if mine else nothing), "made_at": made_at.isoformat()}
        return Response(CampaignForecast(values).data)

    @extend_schema(parameters=[PreviewQuery], responses=MailPreview)
    @action(detail=True, methods=["get"])
    def preview(self, request: Any, pk: str) -> Response:
        """One mail as one person of the list would get it, and what keeps it from going out."""
        campaign = self.get_object()
        given = self.asked()
        contact = previewing.find(campaign, given["contact"])
        found = previewing.preview(
            campaign, contact, now=explain_today.clock(), position=given["step"], variant=given["variant"]
        )
        return Response(MailPreview(found.as_dict()).data)

    @extend_schema(responses=ExplanationOutput)
    @action(detail=True, methods=["get"])
    def explain(self, request: Any, pk: str) -> Response:
        """Why it sent what it sent today, and what holds the rest; of mailboxes only for a key that may see them."""
        campaign = self.get_object()
        found = explain.campaign(
            campaign, explain_today.clock(), queue=explain_stops.look_at_queue(), knows_platform=False
        )
        if not request.actor.can("mailboxes.view", campaign.tenant_id):
            found = explain.for_client(found)
        return Response(ExplanationOutput(found.as_dict()).data)


class StepViewSet(ReadOnlyTenantViewSet):
    """Messages of campaigns, as written."""

    view_permission = "campaigns.view"
    queryset = Step.objects.order_by("pk").prefetch_related("variants")
    serializer_class = StepOutput
    filterset_class = StepFilters
