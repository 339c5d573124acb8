"""Why a campaign or a mailbox sent what it sent today, and what holds the rest."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.response import Response

from campaigns.api.mail import MessageViewSet
from campaigns.api.people import ContactViewSet
from campaigns.pipeline import explain_mailbox, explain_message, explain_stops, explain_story, explain_today
from mailboxes.api.fleet import MailboxViewSet


class CauseOutput(serializers.Serializer):
    """Something that holds mail: `count` of it, and `decides` those that nothing before it holds."""

    kind, name, title = serializers.CharField(), serializers.CharField(), serializers.CharField()
    count, decides = serializers.IntegerField(), serializers.IntegerField()
    since, next_at = serializers.DateTimeField(allow_null=True), serializers.DateTimeField(allow_null=True)
    used, cap = serializers.IntegerField(allow_null=True), serializers.IntegerField(allow_null=True)
    remedy = serializers.CharField()
    is_estimate = serializers.BooleanField()


class ExplanationOutput(serializers.Serializer):
    """`waiting` have no slot yet; `ready` of them get one in the next planner run; causes add up to the others."""

    subject, id, name = serializers.CharField(), serializers.IntegerField(), serializers.CharField()
    at = serializers.DateTimeField()
    sentence = serializers.CharField()
    today = serializers.DictField(child=serializers.IntegerField())
    waiting, ready = serializers.IntegerField(), serializers.IntegerField()
    ready_at = serializers.DateTimeField(allow_null=True)
    causes = CauseOutput(many=True)
    ended = serializers.DictField(child=serializers.IntegerField())
    is_estimate = serializers.BooleanField()
    facts = serializers.DictField(child=serializers.CharField())
    figures = serializers.DictField(child=serializers.ListField(child=serializers.DictField()))


class CheckOutput(serializers.Serializer):
    """One gate: whether it lets the mail pass, and the value that it looked at; the first that holds decides."""

    name, title, value = serializers.CharField(), serializers.CharField(), serializers.CharField()
    passes, decides = serializers.BooleanField(), serializers.BooleanField()
    until = serializers.DateTimeField(allow_null=True)


class StoryPartOutput(serializers.Serializer):
    """One campaign of a person, or one message."""

    id, name, gate = serializers.IntegerField(), serializers.CharField(), serializers.CharField()
    sentence, next_at = serializers.CharField(), serializers.DateTimeField(allow_null=True)
    checks = CheckOutput(many=True)
    facts = serializers.DictField(child=serializers.CharField())


class StoryOutput(serializers.Serializer):
    """Why a person gets mail or none, or what became of a message."""

    subject, id, name = serializers.CharField(), serializers.IntegerField(), serializers.CharField()
    at, sentence = serializers.DateTimeField(), serializers.CharField()
    parts = StoryPartOutput(many=True)


class ExplainedContactViewSet(ContactViewSet):
    """People who may be written to."""

    @extend_schema(responses=StoryOutput)
    @action(detail=True, methods=["get"])
    def explain(self, request: Any, pk: str) -> Response:
        """Why this person gets mail or none, campaign by campaign."""
        found = explain_story.contact(self.get_object(), explain_today.clock(), knows_platform=False)
        return Response(StoryOutput(found.as_dict()).data)


class ExplainedMessageViewSet(MessageViewSet):
    """One row for each mail, which alone says whether it went out."""

    @extend_schema(responses=StoryOutput)
    @action(detail=True, methods=["get"])
    def explain(self, request: Any, pk: str) -> Response:
        """What became of it, and what it waits for."""
        found = explain_message.message(self.get_object(), explain_today.clock())
        return Response(StoryOutput(found.as_dict()).data)


class ExplainedMailboxViewSet(MailboxViewSet):
    """Sender mailboxes with cap, weight and health."""

    @extend_schema(responses=ExplanationOutput)
    @action(detail=True, methods=["get"])
    def explain(self, request: Any, pk: str) -> Response:
        """Why it sent what it sent today, and what holds the rest."""
        found = explain_mailbox.mailbox(
            self.get_object(), explain_today.clock(), queue=explain_stops.look_at_queue(), knows_platform=False
        )
        return Response(ExplanationOutput(found.as_dict()).data)
