"""Whoever changes configuration by whatever way leaves an event with before, after and circumstances."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.core.checks import run_checks
from django.db import Error as DatabaseError
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from campaigns.models import ContactList
from mailboxes.models import Mailbox, Pool
from mailboxes.services import importing
from outreach.common import circumstances, isolation, roles
from tenants.models import Tenant, User
from tenants.services.actors import SYSTEM
from tests import factories
from tests.rules.test_tenancy import events

ROLES = [pytest.param("web"), pytest.param("worker", marks=pytest.mark.as_worker)]
EVERYBODY = [*ROLES, pytest.param("owner", marks=pytest.mark.as_owner)]
PRIVILEGE = "42501"
HERE = circumstances.Circumstances("r-1", "192.0.2.7", "request", "console/x/", "user", 7)


def event_model(model):
    return model.pgh_event_model


def told(model, pk, label=""):
    """What the history says of one row, oldest first: kind, what stood there before, and the circumstances."""
    found = event_model(model)._base_manager.filter(id=pk).order_by("pgh_id")
    return [(row.pgh_label, row.pgh_before, row.pgh_context) for row in found if label in ("", row.pgh_label)]


def execute(sql, *values):
    with connection.cursor() as cursor:
        cursor.execute(sql, values)


def refused(act) -> str:
    with pytest.raises(DatabaseError) as caught, transaction.atomic():
        act()
    return caught.value.__cause__.sqlstate


# --- Whatever the way -----------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_a_bulk_update_leaves_an_event_for_each_row_that_changed():
    one, other, same = factories.fleet(factories.tenant(), 3)
    Mailbox.objects.filter(pk=same.pk).update(daily_cap=5)
    before = event_model(Mailbox).objects.count()

    with circumstances.entered(HERE):
        Mailbox.objects.filter(pool=one.pool).update(daily_cap=5)

    assert event_model(Mailbox).objects.count() == before + 2
    for box in (one, other):
        assert told(Mailbox, box.pk, "update") == [("update", {"daily_cap": 1000}, HERE.facts())]
        assert event_model(Mailbox).objects.filter(id=box.pk).first().daily_cap == 5
    assert told(Mailbox, same.pk, "update") == [("update", {"daily_cap": 1000}, None)]


@pytest.mark.django_db
@pytest.mark.parametrize("role", EVERYBODY)
def test_sql_by_hand_leaves_an_event(role):
    tenant = factories.tenant(name="Old")

    with circumstances.entered(HERE):
        execute("UPDATE tenants_tenant SET name = 'New' WHERE id = %s", tenant.pk)

    assert told(Tenant, tenant.pk) == [("insert", None, None), ("update", {"name": "Old"}, HERE.facts())]
    assert event_model(Tenant).objects.filter(id=tenant.pk).first().name == "New"


@pytest.mark.django_db
def test_a_deletion_keeps_the_row_as_it_was():
    left = factories.contact_list(factories.tenant(), name="Left")
    pk = left.pk

    with circumstances.entered(HERE):
        left.delete()

    assert told(ContactList, pk, "delete") == [("delete", None, HERE.facts())]
    assert event_model(ContactList).objects.filter(id=pk).first().name == "Left"


@pytest.mark.django_db
def test_a_row_under_a_new_number_does_not_go_unseen():
    pool = factories.pool(factories.tenant(), name="Old")

    execute("UPDATE mailboxes_pool SET id = 999999999, name = 'New' WHERE id = %s", pool.pk)

    ((label, before, _context),) = told(Pool, 999999999)
    assert (label, before["name"]) == ("update", None)


@pytest.mark.django_db
@pytest.mark.as_worker
def test_an_import_past_djangos_cursors_leaves_events_with_the_circumstances(tmp_path: Path):
    tenant = factories.tenant()
    pool, home = factories.pool(tenant), factories.account(tenant)
    file = tmp_path / "fleet.csv"
    file.write_text(
        "address,smtp_password,pool,smtp_host,smtp_port,smtp_security\n"
        f"new@shop.example,secret,{pool.name},{home.host},{home.port},{home.security}\n",
        encoding="utf-8",
    )

    with circumstances.entered(HERE):
        list(importing.import_mailboxes(tenant, file, actor=SYSTEM))

    box = Mailbox.objects.get(address="new@shop.example")
    assert told(Mailbox, box.pk)[0] == ("insert", None, HERE.facts())


@pytest.mark.django_db
def test_copy_straight_into_a_table_has_the_circumstances():
    tenant = factories.tenant()
    execute("CREATE TEMP TABLE lists (tenant_id bigint, name text) ON COMMIT DROP")

    with circumstances.entered(HERE), transaction.atomic():
        with connection.cursor() as cursor, cursor.copy("COPY lists FROM STDIN") as copy:
            copy.write_row((tenant.pk, "Copied"))
        connection.connection.execute(
            "INSERT INTO campaigns_contactlist (tenant_id, name, created_at) SELECT tenant_id, name, now() FROM lists"
        )

    assert told(ContactList, ContactList.objects.get(name="Copied").pk) == [("insert", None, HERE.facts())]


# --- Circumstances ----------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_a_savepoint_that_is_taken_back_takes_no_circumstances_with_it():
    tenant = factories.tenant(name="0")
    with circumstances.entered(HERE):
        with transaction.atomic():
            Tenant.objects.filter(pk=tenant.pk).update(name="1")
            transaction.set_rollback(True)
        Tenant.objects.filter(pk=tenant.pk).update(name="2")
    Tenant.objects.filter(pk=tenant.pk).update(name="3")

    assert told(Tenant, tenant.pk, "update") == [
        ("update", {"name": "0"}, HERE.facts()),
        ("update", {"name": "2"}, None),
    ]


@pytest.mark.django_db(transaction=True)
def test_nothing_of_a_request_outlives_its_transaction():
    tenant = factories.tenant(name="0")
    with circumstances.entered(HERE):
        Tenant.objects.filter(pk=tenant.pk).update(name="1")
    with isolation.entered(isolation.Scope(frozenset({tenant.pk}))):
        connection.connection.execute("SELECT set_config('app.tenants', %s, false)", [f"{{{tenant.pk}}}"])
        connection.connection.execute("UPDATE tenants_tenant SET name = '2' WHERE id = %s", [tenant.pk])

    assert told(Tenant, tenant.pk, "update") == [
        ("update", {"name": "0"}, HERE.facts()),
        ("update", {"name": "1"}, None),
    ]
    connection.close()


@pytest.mark.django_db(transaction=True)
def test_looking_without_a_scope_costs_no_transaction_and_writing_has_one():
    with isolation.entered(None), circumstances.entered(HERE), CaptureQueriesContext(connection) as asked:
        User.objects.first()
        User.objects.create(email="new@example.com")

    # a statement is noted once it is over, and the wrapper's transaction is within it
    assert [query["sql"].split()[0] for query in asked] == ["SELECT", "BEGIN", "COMMIT", "INSERT"]
    assert told(User, User.objects.get().pk) == [("insert", None, HERE.facts())]


@pytest.mark.as_owner
@pytest.mark.django_db(transaction=True)
def test_a_migration_makes_an_index_outside_of_a_transaction():
    with isolation.entered(None), circumstances.entered(HERE):
        execute("CREATE INDEX CONCURRENTLY made_for_a_test ON mailboxes_pool (name)")
        execute("DROP INDEX CONCURRENTLY made_for_a_test")


# --- What stays out ---------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_what_sending_changes_leaves_no_event():
    box = factories.mailbox(factories.tenant())
    before = event_model(Mailbox).objects.count()

    Mailbox.objects.filter(pk=box.pk).update(last_dot_at="2026-01-01T00:00Z", failures=3, health=0.5)
    Tenant.objects.update(plan_wanted_at="2026-01-01T00:00Z")

    assert event_model(Mailbox).objects.count() == before
    assert told(Tenant, box.tenant_id, "update") == []


@pytest.mark.attack("A34")
@pytest.mark.django_db
def test_of_a_secret_only_the_change_is_kept():
    box, person = factories.mailbox(factories.tenant()), factories.user()
    sealed = factories.seal_password(box.tenant_id, box.seal_ref, "another one")

    Mailbox.objects.filter(pk=box.pk).update(sealed_password=sealed)
    person.set_password("a better one")
    person.save()

    assert told(Mailbox, box.pk, "update") == [("update", {"sealed_password": None}, None)]
    assert told(User, person.pk, "update") == [("update", {"password": None}, None)]


def test_no_table_of_events_has_a_column_for_a_secret():
    columns = {field.column for model in events() for field in model._meta.local_fields}

    assert not {name for name in columns if "password" in name or "hash" in name or "sealed" in name}


# --- Nobody rewrites it -----------------------------------------------------------------------------------------

REWRITING = ["UPDATE {} SET pgh_label = 'x'", "DELETE FROM {}", "TRUNCATE {}"]


@pytest.mark.attack("A36")
@pytest.mark.django_db
@pytest.mark.parametrize("role", EVERYBODY)
@pytest.mark.parametrize("sql", REWRITING)
@pytest.mark.parametrize("model", events(), ids=lambda model: model._meta.label)
def test_no_event_is_changed_or_removed(model, sql, role):
    assert refused(lambda: execute(sql.format(model._meta.db_table))) == PRIVILEGE


@pytest.mark.attack("A36")
@pytest.mark.django_db
@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("model", events(), ids=lambda model: model._meta.label)
def test_no_event_is_made_up(model, role):
    execute("SET LOCAL app.append_only = 'off'")
    for sql in (*REWRITING, "INSERT INTO {} (id) VALUES (1)"):
        assert refused(lambda sql=sql: execute(sql.format(model._meta.db_table))) == PRIVILEGE


@pytest.mark.django_db
@pytest.mark.parametrize("role", ROLES)
def test_no_trigger_of_the_history_can_be_hung_on_another_table(role):
    execute("CREATE TEMP TABLE forged (LIKE mailboxes_pool) ON COMMIT DROP")
    name = next(trigger for trigger in Pool._meta.triggers if trigger.name == "insert").get_pgid(Pool)

    forging = f"CREATE TRIGGER x AFTER INSERT ON forged REFERENCING NEW TABLE AS new_values EXECUTE FUNCTION {name}()"
    assert refused(lambda: execute(forging)) == PRIVILEGE


@pytest.mark.django_db
@pytest.mark.parametrize("role", ROLES)
def test_nobody_tells_the_history_to_look_away(role):
    tenant = factories.tenant(name="Old")
    names = ",".join(trigger.get_pgid(Tenant) for trigger in Tenant._meta.triggers)
    execute("SELECT set_config('pgtrigger.ignore', %s, true)", f"{{{names}}}")

    Tenant.objects.filter(pk=tenant.pk).update(name="New")

    assert told(Tenant, tenant.pk, "update") == [("update", {"name": "Old"}, None)]


@pytest.mark.as_owner
@pytest.mark.django_db
def test_a_grant_to_all_tables_opens_none_of_them_again():
    users = ("outreach_web", "outreach_worker")
    execute(roles.grants_sql(*users))

    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT t.name, r.name FROM unnest(%s::text[]) t (name), unnest(%s::text[]) r (name) "
            "WHERE has_table_privilege(r.name, t.name, 'INSERT, UPDATE, DELETE, TRUNCATE')",
            [[name for name in roles.APPEND_ONLY if name in connection.introspection.table_names()], list(users)],
        )
        assert cursor.fetchall() == []


def test_the_list_of_such_tables_has_every_table_of_events():
    assert {model._meta.db_table for model in events()} <= set(roles.APPEND_ONLY)


@pytest.mark.attack("A26")
@pytest.mark.django_db
@pytest.mark.parametrize("role", ROLES)
def test_events_of_another_tenant_are_not_seen(role):
    ours, theirs = factories.tenant(), factories.tenant()

    with isolation.tenants([ours.pk]):
        assert set(event_model(Tenant).objects.values_list("id", "tenant")) == {(ours.pk, ours.pk)}
    assert event_model(Tenant).objects.filter(tenant=theirs.pk).exists()


# --- The system check finds what lacks it -------------------------------------------------------------------------


@pytest.mark.as_owner
@pytest.mark.django_db
@pytest.mark.parametrize(
    "hole",
    [
        "ALTER TABLE mailboxes_pool DISABLE TRIGGER {name}",
        "DROP TRIGGER {name} ON mailboxes_pool",
        "ALTER FUNCTION {name}() SECURITY INVOKER",
    ],
)
def test_the_check_finds_a_table_without_its_trigger(hole):
    name = next(trigger for trigger in Pool._meta.triggers if trigger.name == "update").get_pgid(Pool)
    assert [error for error in run_checks(databases=["default"]) if error.id == "outreach.E012"] == []

    execute(hole.format(name=name))

    (error,) = [error for error in run_checks(databases=["default"]) if error.id == "outreach.E012"]
    assert error.msg == f"mailboxes.Pool: the table mailboxes_pool is without its trigger {name}."
