"""The base of every view of the API: a key's tenant and nothing else, from the first query to the last byte."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any, ClassVar

from django.db import transaction
from django.db.models import QuerySet
from django_filters.rest_framework import DjangoFilterBackend
from rest_framework.mixins import ListModelMixin, RetrieveModelMixin
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from outreach.common import circumstances
from outreach.common.errors import NotAllowed, Unknown
from outreach.common.problems import FieldErrors
from tenants.api.keys import KeyAuthentication
from tenants.api.limits import ByAddress, KeyAndTenant
from tenants.api.paging import CursorPages
from tenants.api.shapes import Input
from tenants.services import actors

READING = ("GET", "HEAD")


class TenantViewSet(GenericViewSet):
    """Rows of the key's tenant. `view_permission` is what looking takes, `permissions_of` what each act takes,
    `questions` what the query string of an action may ask.

    From authentication until the answer is rendered the database shows that tenant's rows only. A request that
    reads is one transaction; one that acts is not, so that the service's own may be begun again after a deadlock.
    """

    view_permission: ClassVar[str] = ""
    permissions_of: ClassVar[dict[str, str]] = {}
    questions: ClassVar[dict[str, type[Input]]] = {}

    in_transaction = False
    filterset_class: ClassVar[Any] = None
    authentication_classes = (KeyAuthentication,)
    throttle_classes = (KeyAndTenant,)
    pagination_class = CursorPages
    filter_backends = (DjangoFilterBackend,)
    lookup_value_regex = "[0-9]{1,18}"
    http_method_names: ClassVar[list[str]] = ["get", "head", "post"]  # type: ignore[misc]

    def dispatch(self, request: Any, *args: Any, **kwargs: Any) -> Response:
        with ExitStack() as self.until_rendered:
            response = super().dispatch(request, *args, **kwargs)
            try:
                return response.render()
            except Exception as error:  # noqa: BLE001  # logged and told like any other, and still in the scope
                answer = self.handle_exception(error)
                return self.finalize_response(self.request, answer, *args, **kwargs).render()

    def initial(self, request: Any, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        self.check_parameters(request)

    def perform_authentication(self, request: Any) -> None:
        """The first step of `initial` that may fail for want of a key; nothing is looked at before it."""
        try:
            super().perform_authentication(request)
        except Unknown:
            stranger = ByAddress()
            if not stranger.allow_request(request, self):
                self.throttled(request, stranger.wait())
            raise
        request.actor = request._request.actor = request.auth
        self.until_rendered.enter_context(circumstances.amended(via="api", **request.actor.ids()))
        self.until_rendered.enter_context(request.actor.scope())
        if request.method in READING:
            self.until_rendered.enter_context(transaction.atomic())
            self.in_transaction = True

    def check_permissions(self, request: Any) -> None:
        """The limits come first, so that what a key may not do counts as well."""
        super().check_throttles(request)
        if self.action is not None and not request.actor.can(self.permission()):
            raise NotAllowed(f"This key may not do {self.permission()}.", permission=self.permission())

    def check_throttles(self, request: Any) -> None:
        """Nothing more: check_permissions has asked."""

    def check_parameters(self, request: Any) -> None:
        """Refuse parameters that nobody would read: one that is ignored looks like one that found nothing."""
        known: set[str] = set()
        if self.action == "list":
            filters = self.filterset_class.base_filters if self.filterset_class else {}
            known = {*CursorPages.parameters, *filters}
        elif self.action in self.questions:
            known = set(self.questions[self.action]().fields)
        wrong = {name[:100]: ["There is no such parameter."] for name in request.query_params if name not in known}
        for name in known:
            if len(request.query_params.getlist(name)) > 1:
                wrong[name] = ["Give it once."]
        if wrong:
            raise FieldErrors(wrong)

    def handle_exception(self, exc: Exception) -> Response:
        response = super().handle_exception(exc)
        if self.in_transaction:
            transaction.set_rollback(True)  # a statement may have failed in it; there is nothing to keep
        return response

    def permission(self) -> str:
        """What the request takes."""
        return self.permissions_of.get(self.action, self.view_permission)

    def get_queryset(self) -> QuerySet:
        return actors.visible_to(self.request.actor, super().get_queryset(), self.permission())

    @property
    def default_response_headers(self) -> dict[str, str]:
        return {**super().default_response_headers, "Cache-Control": "no-store"}

    def given(self, shape: type[Input]) -> dict[str, Any]:
        """The body, judged."""
        data = shape(data=self.request.data)
        data.is_valid(raise_exception=True)
        return data.validated_data

    def asked(self) -> dict[str, Any]:
        """What the query string asks of an action of `questions`, judged."""
        data = self.questions[self.action](data=self.request.query_params.dict())
        data.is_valid(raise_exception=True)
        return data.validated_data


class ReadOnlyTenantViewSet(ListModelMixin, RetrieveModelMixin, TenantViewSet):
    """A list and single rows."""
