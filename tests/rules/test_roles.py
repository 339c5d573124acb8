"""Which database role a test, a migration and a worker act as."""

import threading

import pytest
from django.db import connection, transaction

from tenants.models import Tenant
from tests import factories


def current_user() -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_user")
        return cursor.fetchone()[0]


@pytest.mark.django_db
def test_a_test_signs_in_as_web():
    assert current_user() == "outreach_web"


@pytest.mark.as_worker
@pytest.mark.django_db
def test_a_marked_test_signs_in_as_worker():
    assert current_user() == "outreach_worker"


@pytest.mark.as_worker
@pytest.mark.django_db(transaction=True)
def test_threads_sign_in_alike():
    users = []

    def look():
        users.append(current_user())
        connection.close()

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()

    assert users == ["outreach_worker"]


@pytest.mark.django_db(transaction=True)
def test_web_may_write_but_not_truncate(as_role):
    tenant = factories.tenant(slug="acme", name="Acme")
    with (
        pytest.raises(Exception, match="permission denied"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute("TRUNCATE tenants_tenant CASCADE")

    with as_role("owner"):
        assert current_user() == "outreach_owner"
    assert Tenant.objects.get() == tenant
