"""Goes along every route of a router with one tenant's key and tells what it got of another's."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet

from tenants.api.filters import IdFilter
from tenants.models import Tenant
from tests.api.conftest import Api


def rows_of(model: Any, tenant: Tenant) -> QuerySet:
    return model.objects.filter(pk=tenant.pk) if model is Tenant else model.objects.filter(tenant=tenant)


def walk(router: Any, prefix: str, api: Api, stranger: Tenant) -> list[str]:
    """One sentence for each leak; an empty list is what we want. Every model needs rows of the stranger."""
    leaks = []
    for name, viewset, _basename in router.registry:
        rows = rows_of(viewset.queryset.model, stranger)
        before = list(rows.order_by("pk").values())
        foreign = {row["id"] for row in before}
        assert foreign, f"{name}: the stranger has no row, so this proves nothing"
        for route in router.get_routes(viewset):
            for method, act in route.mapping.items():
                place = f"{prefix}{name}/" + (f"{{pk}}{route.url.split('{lookup}')[1][:-1]}" if route.detail else "")
                place = place.replace("{trailing_slash}", "/")
                if not hasattr(viewset, act):
                    continue
                if route.detail:
                    leaks += of_rows(api, method, place, foreign)
                elif method == "get":
                    leaks += of_lists(api, place, viewset, foreign, stranger)
                else:
                    api.post(place)
        if list(rows.order_by("pk").values()) != before:
            leaks.append(f"{name}: rows of another tenant changed")
    return leaks


def of_rows(api: Api, method: str, place: str, foreign: set[int]) -> list[str]:
    leaks = []
    for pk in sorted(foreign)[:3]:
        answer = getattr(api, method)(place.format(pk=pk))
        if answer.status_code != 404 and not (method == "post" and answer.status_code == 403):  # what no key may do
            leaks.append(f"{method} {place}: {answer.status_code} for a row of another tenant")
    return leaks


def of_lists(api: Api, place: str, viewset: Any, foreign: set[int], stranger: Tenant) -> list[str]:
    leaks = []
    narrowed: list[dict[str, Any]] = [{}]
    for name, filter_ in viewset.filterset_class.base_filters.items() if viewset.filterset_class else ():
        if isinstance(filter_, IdFilter):
            narrowed += [{name: pk} for pk in related(viewset.queryset.model, filter_.field_name, stranger)]
    for params in narrowed:
        for ordering in ("id", "-id"):
            answer = api.get(place, {**params, "page_size": 200, "ordering": ordering})
            assert answer.status_code == 200, (place, params, answer.content[:300])
            shown = {row["id"] for row in answer.json()["results"]} & foreign
            if shown:
                leaks.append(f"get {place} {params}: shows {len(shown)} rows of another tenant")
    return leaks


def related(model: Any, field_name: str, stranger: Tenant) -> list[int]:
    """A few values of the column that the stranger's rows have."""
    return [pk for pk in rows_of(model, stranger).values_list(field_name, flat=True).distinct()[:3] if pk]
