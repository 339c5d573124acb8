"""What one tenant's lists cost does not grow with what the other tenants have."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from campaigns.models import Attempt, Batch, Contact, Enrolment, Message, PlanRun, Suppression
from mailboxes.models import Allowance, Mailbox
from outreach import embedded
from outreach.common import isolation
from tests.api.conftest import Api, key_of
from tests.conftest import STATE

MANY = int(os.environ.get("OUTREACH_MANY", "20000"))
# Where each list is, and what must differ between two copies of a row.
LISTS: dict[str, tuple[Any, dict[str, str]]] = {
    "contacts": (Contact, {"email_key": "'copy' || n"}),
    "enrolments": (Enrolment, {"contact_id": "n"}),
    "messages": (Message, {"enrolment_id": "n", "message_id": "'copy' || n"}),
    "attempts": (Attempt, {}),
    "batches": (Batch, {}),
    "plan-runs": (PlanRun, {}),
    "suppressions": (Suppression, {"hash": "sha256(int8send(n))"}),
    "mailboxes": (Mailbox, {"address_key": "'copy' || n", "seal_ref": "gen_random_uuid()"}),
    "allowances": (Allowance, {"key": "n"}),
}


def copy(link: Any, model: Any, row_id: int, changes: dict[str, str], first: int, last: int) -> None:
    """So many rows like that one, numbered; keys are not looked up, since nobody reads what they name."""
    columns = [field.column for field in model._meta.local_concrete_fields if not field.primary_key]
    values = ", ".join(changes.get(column, f"r.{column}") for column in columns)
    link.execute(
        f"INSERT INTO {model._meta.db_table} ({', '.join(columns)}) SELECT {values} "  # noqa: S608 (our own names)
        f"FROM {model._meta.db_table} r, generate_series({first}, {last}) AS n WHERE r.id = {row_id}"
    )


@pytest.fixture
def small_among_large(transactional_db, ours, theirs) -> Any:
    """Our few rows, with most of the strangers' before and after them."""
    with embedded.Postgres(STATE).connect(database=connection.settings_dict["NAME"]) as link:
        link.execute("SET session_replication_role = replica")
        for model, changes in LISTS.values():
            row = model.objects.filter(tenant=theirs.tenant).order_by("pk").first()
            mine = model.objects.filter(tenant=ours.tenant).order_by("pk").first()
            copy(link, model, row.pk, changes, 10**9, 10**9 + MANY // 2)
            copy(link, model, mine.pk, changes, 2 * 10**9, 2 * 10**9 + 50)
            copy(link, model, row.pk, changes, 10**9 + MANY, 10**9 + MANY + MANY // 2)
            link.execute(f"ANALYZE {model._meta.db_table}")
    return ours


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for below in plan.get("Plans", ()):
        yield from nodes(below)


@pytest.mark.parametrize("ordering", ["id", "-id"])
def test_a_page_reads_about_as_many_rows_as_it_shows(small_among_large, ordering):
    api, far = Api(key_of(small_among_large.tenant)), dict[str, str]()
    for name, (model, _changes) in LISTS.items():
        with CaptureQueriesContext(connection) as ran:
            assert api.get(f"{name}/", {"ordering": ordering}).status_code == 200
        (query,) = [
            each["sql"] for each in ran if f'FROM "{model._meta.db_table}"' in each["sql"] and "LIMIT" in each["sql"]
        ]
        with isolation.tenants([small_among_large.tenant.pk]), connection.cursor() as cursor:
            cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {query}")
            told = cursor.fetchone()[0]
            plan = (json.loads(told) if isinstance(told, str) else told)[0]["Plan"]
        passed_over = sum(node.get("Rows Removed by Filter", 0) * node["Actual Loops"] for node in nodes(plan))
        via = [node.get("Index Name", node["Node Type"]) for node in nodes(plan) if "Relation Name" in node]
        if passed_over > 200 or os.environ.get("OUTREACH_MANY"):
            far[name] = f"{passed_over} rows passed over by {sorted(set(via))} in {plan['Actual Total Time']} ms"
    assert not far, "; ".join(f"{name}: {found}" for name, found in far.items())


def test_every_month_of_attempts_has_the_index_also_one_made_later(db):
    with connection.cursor() as cursor:
        cursor.execute("SELECT campaigns_attempt_months('2031-05-01', 1)")
        cursor.execute("SELECT indisvalid FROM pg_index WHERE indexrelid = 'attempt_tenant_page'::regclass")
        assert cursor.fetchone() == (True,)
        cursor.execute(
            "SELECT (SELECT array_agg(inhrelid::regclass::text) FROM pg_inherits "
            "WHERE inhparent = 'campaigns_attempt'::regclass), (SELECT array_agg(x.indrelid::regclass::text) "
            "FROM pg_inherits i JOIN pg_index x ON x.indexrelid = i.inhrelid AND x.indisvalid "
            "WHERE i.inhparent = 'attempt_tenant_page'::regclass)"
        )
        months, indexed = cursor.fetchone()
    assert "campaigns_attempt_2031_05" in months
    assert sorted(months) == sorted(indexed)
