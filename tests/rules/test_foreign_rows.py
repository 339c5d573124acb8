"""No statement reads, writes, moves or points to a row whose tenant is not in scope, whatever its query set."""
# ruff: noqa: S608 (the names in these statements are those of our own tables)

from __future__ import annotations

import functools
import threading
from dataclasses import dataclass

import pytest
from django.db import Error as DatabaseError
from django.db import IntegrityError, connection, connections, models, transaction
from django.http import HttpRequest
from django.template import engines
from django.template.response import TemplateResponse

from campaigns.models import Attempt, Contact
from mailboxes.models import Allowance
from outreach.checks import is_of_tenants
from outreach.common import isolation
from outreach.common.postgres.base import DatabaseWrapper
from outreach.common.roles import READ_ONLY
from tenants.middleware import ActorMiddleware
from tenants.models.base import tenant_keys
from tenants.services.actors import Actor
from tests import factories
from tests.console.conftest import World
from tests.rules.test_tenancy import events, our_models

ROLES = [pytest.param("web"), pytest.param("worker", marks=pytest.mark.as_worker)]
MODELS = [model for model in our_models() if is_of_tenants(model)]
WRITTEN = [model for model in MODELS if model not in events()]  # those are written by triggers alone
KEYS = [(model, field) for model in MODELS for field in tenant_keys(model)]
OUT_OF_SCOPE = "42501"  # insufficient_privilege: the row violates the policy


@dataclass
class Two:
    """Two tenants with rows in every table, and who they are."""

    a: World
    b: World

    def row(self, model: type[models.Model], world: World) -> models.Model:
        mine = model._base_manager.filter(**{column_of(model): world.tenant.pk}).order_by("pk")
        found = mine.first()
        assert found is not None, f"World has no row of {model._meta.label}"
        return found


def column_of(model: type[models.Model]) -> str:
    return "pk" if model._meta.label == "tenants.Tenant" else "tenant_id"


def owners(model: type[models.Model]) -> set[int | None]:
    return set(model._base_manager.values_list(column_of(model), flat=True))


def of_a(two: Two):
    return isolation.tenants([two.a.tenant.pk])


def sqlstate(act) -> str:
    """The database's code for what must fail."""
    with pytest.raises(DatabaseError) as caught, transaction.atomic():
        act()
    return caught.value.__cause__.sqlstate


@pytest.fixture
def two(db) -> Two:
    made = Two(World(people=9, mailboxes=2), World(people=9, mailboxes=2))
    Allowance.objects.create(scope="mailbox_day", key=0, period_start="2026-01-01T00:00Z", cap=1)  # the platform's
    return made


# --- Reading ------------------------------------------------------------------------------------------------


@pytest.mark.attack("A26")
@pytest.mark.parametrize("role", ROLES)
def test_without_a_scope_no_table_has_rows(two, role):
    with isolation.entered(None):
        assert {model._meta.label: owners(model) for model in MODELS} == {model._meta.label: set() for model in MODELS}


@pytest.mark.attack("A26")
@pytest.mark.parametrize("role", ROLES)
def test_a_scope_shows_its_own_tenant_in_every_table(two, role):
    with of_a(two):
        assert {model._meta.label: owners(model) for model in MODELS} == {
            model._meta.label: {two.a.tenant.pk} for model in MODELS
        }


def test_a_partition_asked_by_its_own_name_shows_its_own_tenant_only(two):
    with connection.cursor() as cursor:
        cursor.execute("SELECT tableoid::regclass::text FROM campaigns_attempt")
        (part,) = {name for (name,) in cursor.fetchall()}
        with of_a(two):
            cursor.execute(f"SELECT DISTINCT tenant_id FROM {part}")
            assert cursor.fetchall() == [(two.a.tenant.pk,)]
            columns = [field.column for field in Attempt._meta.local_fields if not field.primary_key]
            listed = ", ".join(columns)
            chosen = ", ".join("%s" if name == "tenant_id" else name for name in columns)
            foreign = f"INSERT INTO {part} ({listed}) SELECT {chosen} FROM campaigns_attempt"
            assert sqlstate(lambda: cursor.execute(foreign, [two.b.tenant.pk])) == OUT_OF_SCOPE


def test_counts_of_a_join_or_a_subquery_know_no_foreign_rows(two):
    with of_a(two), connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM campaigns_message m JOIN campaigns_contact c ON c.tenant_id = m.tenant_id")
        assert cursor.fetchone() == (81,)
        cursor.execute("SELECT EXISTS (SELECT FROM campaigns_contact WHERE tenant_id = %s)", [two.b.tenant.pk])
        assert cursor.fetchone() == (False,)
        cursor.execute("SELECT * FROM pg_stats WHERE tablename LIKE 'campaigns\\_%'")
        assert cursor.fetchall() == []


# --- Writing ------------------------------------------------------------------------------------------------


@pytest.mark.attack("A26", "A28")
@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("model", WRITTEN, ids=lambda model: model._meta.label)
def test_a_row_of_another_tenant_is_neither_made_nor_changed_nor_deleted(two, model, role):
    foreign, own = two.row(model, two.b), two.row(model, two.a)
    meta, table = model._meta, model._meta.db_table
    column = meta.pk.column if meta.label == "tenants.Tenant" else "tenant_id"
    before = model._base_manager.filter(pk=foreign.pk).values().get()

    def run(sql, *values):
        with connection.cursor() as cursor:
            cursor.execute(sql, values)
            return cursor.rowcount

    def insert(owner):
        columns = [field for field in meta.local_fields if not field.primary_key]
        values = {field.column: getattr(own, field.attname) for field in columns} | {column: owner}
        given = [meta.pk.get_db_prep_save(owner, connection)] if column == meta.pk.column else []
        given += [field.get_db_prep_save(values[field.column], connection) for field in columns]
        names = ([column] if column == meta.pk.column else []) + [field.column for field in columns]
        run(f"INSERT INTO {table} ({', '.join(names)}) VALUES ({', '.join(['%s'] * len(names))})", *given)

    with of_a(two):
        assert sqlstate(lambda: insert(two.b.tenant.pk)) == OUT_OF_SCOPE
        if column == "tenant_id":
            assert sqlstate(lambda: insert(None)) in (OUT_OF_SCOPE, "23502")
        assert sqlstate(lambda: run(f"UPDATE {table} SET {column} = %s WHERE id = %s", two.b.tenant.pk, own.pk)) == (
            OUT_OF_SCOPE
        )
        for sql in (
            f"UPDATE {table} SET {column} = {two.a.tenant.pk} WHERE id = %s",
            f"UPDATE {table} SET {column} = {column} WHERE id = %s",
            f"DELETE FROM {table} WHERE id = %s",
            f"SELECT FROM {table} WHERE id = %s FOR UPDATE",
        ):
            if table in READ_ONLY:
                assert sqlstate(functools.partial(run, sql, foreign.pk)) == OUT_OF_SCOPE  # no right to any row
            else:
                assert run(sql, foreign.pk) == 0
    assert model._base_manager.filter(pk=foreign.pk).values().get() == before


@pytest.mark.attack("A26", "A28")
@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("both", [False, True], ids=["own tenant in scope", "both in scope"])
@pytest.mark.parametrize(("model", "field"), KEYS, ids=lambda part: getattr(part, "name", ""))
def test_no_reference_points_to_another_tenants_row(two, model, field, both, role):
    own = two.row(model, two.a)
    target = two.row(field.related_model, two.b)
    scope = [two.a.tenant.pk, two.b.tenant.pk] if both else [two.a.tenant.pk]

    changes = {field.attname: target.pk}
    if model._meta.label == "campaigns.Suppression":
        changes["scope"] = "campaign"  # or another constraint would say no first

    with isolation.tenants(scope), pytest.raises(IntegrityError), transaction.atomic():
        model._base_manager.filter(pk=own.pk).update(**changes)


def test_the_platforms_own_rows_need_the_platforms_scope(two):
    with isolation.tenants([two.a.tenant.pk, two.b.tenant.pk]):
        assert None not in owners(Allowance)
    with isolation.tenants([], platform=True):
        assert owners(Allowance) == {None}


# --- How long a scope lasts -----------------------------------------------------------------------------------


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.django_db(transaction=True)
def test_nothing_of_a_scope_outlives_its_transaction(role):
    tenant = factories.tenant()
    factories.people(tenant, None, 2)
    with isolation.tenants([tenant.pk]):
        with transaction.atomic():
            assert Contact.objects.count() == 2
        assert Contact.objects.count() == 2  # outside of a transaction as well
        raw = connection.connection

    with isolation.entered(None):
        assert Contact.objects.count() == 0
        with transaction.atomic():
            assert Contact.objects.count() == 0
        assert connection.connection is raw
        with connection.cursor() as cursor:
            cursor.execute("SELECT current_setting('app.tenants', true), app_tenants(), app_platform()")
            assert cursor.fetchone() == ("", None, False)


@pytest.mark.django_db(transaction=True)
def test_a_scope_follows_savepoints_and_failures():
    ours, theirs = factories.tenant(), factories.tenant()
    for tenant in (ours, theirs):
        factories.people(tenant, None, 1)

    def seen():
        return set(Contact.objects.values_list("tenant_id", flat=True))

    with isolation.tenants([ours.pk]), transaction.atomic():
        with isolation.tenants([theirs.pk]):
            assert seen() == {theirs.pk}
            with pytest.raises(DatabaseError), transaction.atomic(), isolation.tenants([ours.pk]):
                Contact.objects.extra(where=["1/0 = 1"]).count()
            assert seen() == {theirs.pk}
        assert seen() == {ours.pk}
        with pytest.raises(DatabaseError), transaction.atomic():  # noqa: SIM117
            with isolation.tenants([theirs.pk]):
                Contact.objects.extra(where=["1/0 = 1"]).count()
        assert seen() == {ours.pk}
        with isolation.nothing():
            assert seen() == set()


@pytest.mark.django_db(transaction=True)
def test_another_thread_begins_with_nothing(monkeypatch):
    tenant = factories.tenant()
    factories.people(tenant, None, 1)
    seen = []

    def look():
        seen.append((isolation.current(), Contact.objects.count()))
        connection.close()

    with isolation.tenants([tenant.pk]):
        monkeypatch.setattr(DatabaseWrapper, "scope", None)  # what the tests' own factory widened
        thread = threading.Thread(target=look)
        thread.start()
        thread.join()
        assert Contact.objects.count() == 1

    assert seen == [(None, 0)]


@pytest.mark.django_db(transaction=True)
def test_a_pooled_connection_carries_nothing_to_its_next_user(monkeypatch):
    tenant = factories.tenant()
    factories.people(tenant, None, 2)
    settings = connection.settings_dict
    options = settings["OPTIONS"] | {"pool": {"min_size": 1, "max_size": 1, "timeout": 10}}
    pooled = {**settings, "CONN_MAX_AGE": 0, "OPTIONS": options}
    monkeypatch.setattr(DatabaseWrapper, "scope", None)
    seen: list[tuple[int, int]] = []

    def look(ids):
        wrapper = connections["default"] = DatabaseWrapper(pooled, "default")
        try:
            with isolation.tenants(ids) if ids else isolation.entered(None):
                count = Contact.objects.count()
                with transaction.atomic():
                    assert Contact.objects.count() == count
                seen.append((wrapper.connection.info.backend_pid, count))
                if ids:
                    with pytest.raises(DatabaseError), transaction.atomic():
                        Contact.objects.extra(where=["1/0 = 1"]).count()
        finally:
            wrapper.close()

    try:
        for ids in ([tenant.pk], [], [tenant.pk], []):
            thread = threading.Thread(target=look, args=(ids,))
            thread.start()
            thread.join()
    finally:
        DatabaseWrapper(pooled, "default").close_pool()

    assert [count for _pid, count in seen] == [2, 0, 2, 0]
    assert len({pid for pid, _count in seen}) == 1


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.django_db(transaction=True)
def test_a_page_rendered_after_its_view_returned_shows_ones_own_rows_and_no_others(monkeypatch, method):
    """Late rendering is what ATOMIC_REQUESTS would get wrong: empty lists with status 200."""
    from tenants import middleware

    ours, theirs = factories.tenant(), factories.tenant()
    (mine,) = factories.people(ours, None, 1)
    factories.people(theirs, None, 1)
    rights = Actor("user", "somebody", within={ours.pk: frozenset({"campaigns.view"})}, user_id=1)
    monkeypatch.setattr(middleware, "actor_of", lambda user: rights)
    template = engines["django"].from_string("{% for row in rows %}{{ row.pk }} {% endfor %}")

    def answer(request):
        """As Django's handler does it: the view returns, then the response is rendered."""
        return TemplateResponse(request, template, {"rows": Contact.objects.all()}).render()

    request = HttpRequest()
    request.method, request.user = method, None
    with isolation.entered(None):
        response = ActorMiddleware(answer)(request)
        assert Contact.objects.count() == 0

    assert response.content.decode().split() == [str(mine.pk)]


# --- What looks past the wall on purpose ----------------------------------------------------------------------


@pytest.mark.attack("A26")
@pytest.mark.parametrize("role", ROLES)
def test_the_owners_functions_tell_what_they_are_for_and_no_more(two, role):
    box, domain = two.b.mailboxes[0], two.b.mailboxes[0].domain
    somebody = factories.user()

    def ask(sql, *values):
        with connection.cursor() as cursor:
            cursor.execute(sql, values)
            return cursor.fetchall()

    with isolation.entered(None):
        assert ask("SELECT app_all_tenants()") == [([two.a.tenant.pk, two.b.tenant.pk],)]
        assert ask("SELECT app_tenant_of_slug(%s), app_tenant_of_slug('%%')", two.b.tenant.slug) == [
            (two.b.tenant.pk, None)
        ]
        assert ask("SELECT * FROM app_grants_of_user(%s)", somebody.pk) == []
        others = "SELECT * FROM mailboxes_of_others(%s, %s, %s) ORDER BY kind"
        assert ask(others, two.a.tenant.pk, [], []) == []
        assert ask(others, two.a.tenant.pk, ["%", "@"], ["%"]) == []
        assert ask(others, two.a.tenant.pk, [box.address_key], [domain.name]) == [
            ("address", box.address_key),
            ("domain", domain.name),
        ]
        assert ask(others, two.b.tenant.pk, [box.address_key], [domain.name]) == []
