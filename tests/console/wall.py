"""A walk over everything that the console offers, as somebody who must see nothing of one world.

`Walk.findings` says in words what was seen or changed all the same; empty means that the wall holds. The walk reads
the registry and the URL patterns, so that a page made tomorrow is walked as well.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Any

from django.contrib import admin
from django.db import models
from django.test import Client
from django.urls import URLPattern, URLResolver, reverse

from outreach.checks import is_of_tenants
from tenants.models import AuditChain, AuditEntry
from tests.console.conftest import World
from tests.rules.test_tenancy import our_models

ROWS = 30  # of each table: enough for whatever a small world has
CHECKED = [model for model in our_models() if is_of_tenants(model)]
# Walking is being seen, and may set up another app; what DNS says of one's own contacts' domains is noted for all.
OF_THE_WALKER = {"tenants.SignedIn", "tenants.SecondFactor", "mailboxes.ReceiverDomain"}
PASSING = {"last_login", "until", "holder", "session_epoch"}  # of people in the walker's own tenant, and of processes
NEVER_WALKED = {"logout", "password_change", "password_change_done", "login"}  # one's own, and they end the session


def column_of(model: type[models.Model]) -> str:
    return "pk" if model._meta.label == "tenants.Tenant" else "tenant_id"


def rows_of(model: type[models.Model], world: World) -> list[models.Model]:
    return list(model._base_manager.filter(**{column_of(model): world.tenant.pk}).order_by("pk")[:ROWS])


def dump(world: World | None = None) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of one world, or of all tables of ours; sign-ins change nothing in it."""
    found = {}
    for model in our_models():
        if model._meta.label in OF_THE_WALKER or model._meta.proxy:  # a proxy's rows are those of its table
            continue
        rows = model._base_manager.order_by("pk")
        if world is None and model in (AuditChain, AuditEntry):
            continue  # who is refused, and what one does to one's own rows, is written there
        if world is not None and is_of_tenants(model):
            rows = rows.filter(**{column_of(model): world.tenant.pk})
        names = [f.attname for f in model._meta.local_fields if f.name not in PASSING]
        found[model._meta.label] = [
            tuple(bytes(value) if isinstance(value, memoryview) else value for value in row)
            for row in rows.values_list(*names)
        ]
    return found


def changed(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    return [f"{label}: rows were changed" for label in before if before[label] != after[label]]


def named(model: type[models.Model], page: str, *args: Any) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{page}", args=args)


def marks_of(world: World) -> list[str]:
    """What of this world must stand on no page: names, addresses, and links to its rows."""
    texts = {world.tenant.name, world.tenant.slug, world.campaign.name, world.list.name, world.pool.name}
    texts |= {box.address for box in world.mailboxes} | {box.domain.name for box in world.mailboxes}
    texts |= {person.email for person in world.people} | {message.message_id for message in world.messages}
    for model in CHECKED:
        if model in admin.site._registry:
            texts |= {named(model, "change", row.pk) for row in rows_of(model, world)[:3]}
    return sorted(texts)


def patterns(found: list[URLPattern | URLResolver], prefix: str = "") -> Iterator[tuple[str, URLPattern]]:
    """Every page of the site with the route that leads there."""
    for entry in found:
        route = prefix + str(entry.pattern)
        if isinstance(entry, URLResolver):
            yield from patterns(entry.url_patterns, route)
        else:
            yield route, entry


@dataclass
class Walk:
    """One person's way through the console, past the rows of a world that is not theirs."""

    client: Client
    world: World
    findings: list[str] = field(default_factory=list)
    pages: int = 0

    def __post_init__(self) -> None:
        self.marks = marks_of(self.world)
        self.client.raise_request_exception = False

    def everything(self) -> list[str]:
        """All pages and all acts; returns the findings."""
        before = dump(self.world)
        self.look()
        self.act()
        self.findings += changed(before, dump(self.world))
        return self.findings

    def look(self) -> None:
        self.lists()
        self.rows()
        self._autocomplete()
        self._every_route()

    def act(self) -> None:
        for model, model_admin in admin.site._registry.items():
            if is_of_tenants(model):
                self._actions(model, model_admin)
                self._writes(model)

    # --- looking ------------------------------------------------------------------------------------------

    def get(self, url: str, what: str, **query: Any) -> Any:
        """One page: no failure, and nothing of that world on it, whatever it answers."""
        answer = self.client.get(url, query, headers={"HX-Request": "true"} if "live" in url else {})
        self.pages += 1
        if answer.status_code >= 500:
            self.findings.append(f"{what}: {answer.status_code}")
        self._read(text_of(answer).replace(url, ""), what, said={str(value) for value in query.values()})
        return answer

    def _read(self, body: str, what: str, said: Collection[str] = ()) -> None:
        """Look for that world's marks; what was asked may be said back."""
        for mark in self.marks:
            if mark in said:
                continue
            # "Tenant 1" stands in "Tenant 12" as well
            if mark in body and re.search(rf"(?<![\w-]){re.escape(mark)}(?![\w-])", body):
                self.findings.append(f"{what}: shows {mark!r}")
                return

    def rows(self) -> None:
        for model, model_admin in admin.site._registry.items():
            if is_of_tenants(model):
                self._one_row(model, model_admin)

    def lists(self) -> None:
        for model in admin.site._registry:
            if is_of_tenants(model):
                self._list(model)

    def _list(self, model: type[models.Model]) -> None:
        label, url = model._meta.label, named(model, "changelist")
        foreign = {row.pk for row in rows_of(model, self.world)}
        asked: list[dict[str, Any]] = [{}, {"q": min(foreign)}, {"_popup": 1}]
        asked += [{"tenant__id__exact": self.world.tenant.pk}, {"q": self.world.people[0].email}]
        for query in asked:
            answer = self.get(url, f"{label} list {sorted(query)}", **query)
            if answer.status_code == 200 and (seen := foreign & {row.pk for row in answer.context["cl"].result_list}):
                self.findings.append(f"{label} list {sorted(query)}: shows {len(seen)} foreign rows")

    def _one_row(self, model: type[models.Model], model_admin: Any) -> None:
        pk = rows_of(model, self.world)[0].pk
        for route, pattern in patterns(model_admin.get_urls()):
            names = pattern.pattern.converters
            if not {"object_id", "pk"} & set(names):
                continue
            url = f"{named(model, 'changelist')}{filled(route, pk)}"
            answer = self.get(url, f"{model._meta.label} {route}")
            redirected = answer.status_code == 302 and answer.headers["Location"] == named(model, "change", pk)
            # Nothing is deleted by hand, so that page refuses before it looks for the row.
            refused = answer.status_code == 403 and "delete" in route
            if answer.status_code != 404 and not redirected and not refused:
                self.findings.append(f"{model._meta.label} {route}: answers {answer.status_code} for a foreign row")

    def _autocomplete(self) -> None:
        for model in admin.site._registry:
            for relation in model._meta.get_fields():
                if isinstance(relation, models.ForeignKey):
                    values = {"app_label": model._meta.app_label, "model_name": model._meta.model_name}
                    for term in ("", "\x00"):
                        self.get(
                            reverse("admin:autocomplete"),
                            f"{model._meta.label} autocomplete {relation.name}",
                            **values, field_name=relation.name, term=term,
                        )  # fmt: skip

    def _every_route(self) -> None:
        for route, pattern in patterns(admin.site.get_urls()):
            if pattern.name in NEVER_WALKED:
                continue
            self.get(f"/console/{filled(route, self.world.campaign.pk)}", f"route {route}")

    # --- acting -------------------------------------------------------------------------------------------

    def _actions(self, model: type[models.Model], model_admin: Any) -> None:
        """What a browser could send by hand: foreign ids, ticked or "all", confirmed or not yet."""
        ids = [row.pk for row in rows_of(model, self.world)]
        names = {str(getattr(action, "__name__", action)) for action in model_admin.actions or ()}
        for action in sorted(names | {"delete_selected"}):
            for across in ("0", "1"):
                for confirmed in ("", "1"):
                    values = {
                        "action": action, "_selected_action": ids, "index": "0", "select_across": across,
                        "confirmed": confirmed, "from_detail": "1", "post": "yes",
                        "reason": "raid", "evidence": "raid", "daily_cap": "1",
                    }  # fmt: skip
                    self.post(named(model, "changelist"), values, f"{model._meta.label} action {action}")

    def _writes(self, model: type[models.Model]) -> None:
        row = rows_of(model, self.world)[0]
        for page in ("change", "delete", "history"):
            what = f"{model._meta.label} {page}"
            answer = self.post(named(model, page, row.pk), {"post": "yes", "name": "raid", "reason": "raid"}, what)
            if answer.status_code not in (403, 404):
                self.findings.append(f"{what}: answers {answer.status_code} to a POST")

    def post(self, url: str, values: dict[str, Any], what: str) -> Any:
        answer = self.client.post(url, values)
        self.pages += 1
        if answer.status_code >= 500:
            self.findings.append(f"{what}: {answer.status_code}")
        self._read(text_of(answer), what)
        return answer


def text_of(answer: Any) -> str:
    """What a browser would get, a file included."""
    return answer.getvalue().decode(errors="replace")


def filled(route: str, pk: Any) -> str:
    """The route with the number of a row wherever it wants something."""
    route = re.sub(r"\(\?P<\w+>([^()|]+)[^()]*\)", lambda found: found[1].replace(".*", "nothing/"), route)
    return re.sub(r"<[^>]+>", str(pk), route).strip("^$").replace("$", "").replace(r"\Z", "")
