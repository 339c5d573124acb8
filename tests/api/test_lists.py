"""Pages and filters: complete, bounded, and deaf to every column that nobody named."""

from __future__ import annotations

from datetime import timedelta
from urllib.parse import urlsplit

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils.timezone import now

from outreach import api as outreach_api
from tests import factories
from tests.api.conftest import is_problem

SECRETS = (
    "sealed_password", "seal_ref", "username", "address_hash", "domain_hashes", "hash", "key_hash", "content_hash",
    "claim", "last_claim", "held_by",
)  # fmt: skip


def pages(api, path: str) -> list[list[int]]:
    """The ids of every page, following `next` to the end."""
    found, place = [], path
    while place:
        answer = api.get(place).json()
        found.append([row["id"] for row in answer["results"]])
        place = answer["next"] and answer["next"].split("/api/v1/")[1]
    return found


def test_pages_hold_every_row_once(ours, api):
    ids = sorted(person.pk for person in ours.people)

    assert pages(api, "contacts/?page_size=4") == [ids[:4], ids[4:8], ids[8:]]
    assert pages(api, "contacts/?page_size=200&ordering=-id") == [ids[::-1]]
    second = api.get("contacts/?page_size=4").json()["next"].split("/api/v1/")[1]
    back = api.get(second).json()["previous"].split("/api/v1/")[1]
    assert [row["id"] for row in api.get(back).json()["results"]] == ids[:4]


def test_rows_that_come_and_go_shift_no_page(ours, api):
    ids = sorted(person.pk for person in ours.people)
    following = api.get("contacts/?page_size=4").json()["next"].split("/api/v1/")[1]

    factories.people(ours.tenant, None, 1)

    assert [row["id"] for row in api.get(following).json()["results"]] == ids[4:8]


@pytest.mark.parametrize(
    "query",
    ["page_size=0", "page_size=201", "page_size=-1", "page_size=x", "page_size=", "page_size=1e2", "page_size=²",
     "cursor=nonsense", "cursor=cD1hYmM=", "cursor=cD05OTk5OTk5OTk5OTk5OTk5OTk5OTk5OTk5OTk=", "cursor=bz0tMQ==",
     "cursor=%F0%9F%92%A9", "cursor=cD0lMDA="],
)  # fmt: skip
def test_pages_that_make_no_sense(ours, api, query):
    problem = is_problem(api.get(f"contacts/?{query}"), 400, "bad_input")
    assert list(problem["errors"]) == [query.split("=")[0]]


def test_a_list_asks_no_more_for_more_rows(ours, api):
    api.get("campaigns/")  # notes that the key is in use

    for name, _viewset, _basename in outreach_api.router.registry:
        counts = []
        for size in (1, 200):
            with CaptureQueriesContext(connection) as asked:
                api.get(f"{name}/?page_size={size}")
            counts.append(len([query for query in asked.captured_queries if "SAVEPOINT" not in query["sql"]]))
        most = 3 if name == "steps" else 2  # the key, the rows, the wordings of steps
        assert counts == [most, most], name


def test_filters_find_exactly_their_rows(ours, api):
    message = next(row for row in ours.messages if row.status == "sent")

    def found(query: str) -> list[int]:
        return [row["id"] for row in api.get(query).json()["results"]]

    assert found("messages/?status=sent") == [row.pk for row in ours.messages if row.status == "sent"]
    assert found(f"messages/?message_id={message.message_id}") == [message.pk]
    assert found(f"messages/?contact={message.contact_id}") == [message.pk]
    assert found(f"contacts/?email={ours.people[2].email.upper()}") == [ours.people[2].pk]
    assert found(f"contacts/?contact_list={ours.list.pk}") == [person.pk for person in ours.people]
    assert found(f"mailboxes/?pool={ours.pool.pk}&state=active") == [box.pk for box in ours.mailboxes]
    assert found("campaigns/?status=draft") == []
    tomorrow = (now() + timedelta(days=1)).isoformat().replace("+", "%2B")
    assert found(f"campaigns/?created_since={tomorrow}") == []
    assert found(f"campaigns/?created_before={tomorrow}&status=running") == [ours.campaign.pk]


@pytest.mark.attack("A27")
@pytest.mark.parametrize(
    "query",
    [
        "messages/?contact__email__startswith=p", "messages/?tenant__slug=x", "contacts/?address_hash=x",
        "campaigns/?tenant=1", "campaigns/?tenant__id__exact=1", "campaigns/?name__startswith=C",
        "campaigns/?status__in=running", "mailboxes/?username=x", "mailboxes/?sealed_password__startswith=x",
        "mailboxes/?home__host=x", "suppressions/?hash=x", "tenants/?daily_cap=1", "campaigns/?search=x",
        "campaigns/?format=json", "campaigns/?fields=id", "campaigns/?ordering=tenant__daily_cap",
        "campaigns/?ordering=name", "mailboxes/?ordering=sealed_password", "contacts/?ordering=-address_hash",
        "campaigns/?ordering=id,name", "campaigns/?ordering=?", "campaigns/?status=running&status=draft",
        "campaigns/?offset=5", "campaigns/?_to_field=tenant", "campaigns/?status=asleep", "steps/?campaign=x",
        "steps/?campaign=0", "steps/?campaign=99999999999999999999", "campaigns/?created_since=yesterday",
        "contacts/?email=nonsense",
    ],
)  # fmt: skip
def test_no_other_column_can_be_felt_out(ours, api, query):
    problem = is_problem(api.get(query), 400, "bad_input")
    assert list(problem["errors"]) == [urlsplit(query).query.split("=")[0]]


def test_a_single_row_takes_no_parameters(ours, api):
    is_problem(api.get(f"campaigns/{ours.campaign.pk}/?expand=tenant"), 400, "bad_input")
    is_problem(api.post(f"campaigns/{ours.campaign.pk}/pause/?reason=x"), 400, "bad_input")
    ours.campaign.refresh_from_db()
    assert ours.campaign.status == "running"


@pytest.mark.attack("A27")
def test_no_filter_reaches_into_another_table_but_where_it_is_meant_to():
    reaching = {
        f"{viewset.__name__}.{name}"
        for _, viewset, _ in outreach_api.router.registry
        for name, filter_ in (viewset.filterset_class.base_filters if viewset.filterset_class else {}).items()
        if "__" in filter_.field_name
    }
    assert reaching == {"ExplainedContactViewSet.contact_list"}


def test_no_secret_is_a_column():
    for _, viewset, _ in outreach_api.router.registry:
        fields = viewset.serializer_class().fields
        assert not set(fields) & {*SECRETS, "tenant"}, viewset
        assert all(field.read_only for field in fields.values())
