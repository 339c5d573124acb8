"""Authenticators and codes of django-otp's own tables go on working, sealed, and their clear keys are gone."""

from __future__ import annotations

from importlib import import_module

import pytest
from django.apps import apps
from django.db import connection
from django_otp.oath import totp

from tenants.models import RecoverySheet, SecondFactor
from tenants.services import factors
from tests import factories

OLD_TABLES = """
CREATE TABLE otp_totp_totpdevice (id serial, user_id bigint, name text, confirmed boolean, key varchar(80), step int,
    t0 bigint, digits int, tolerance int, drift int, last_t bigint, last_used_at timestamptz, created_at timestamptz,
    throttling_failure_timestamp timestamptz, throttling_failure_count int);
CREATE TABLE otp_static_staticdevice (id serial, user_id bigint, name text, confirmed boolean);
CREATE TABLE otp_static_statictoken (id serial, device_id int, token varchar(16))"""
KEYS = [bytes([i]) * 20 for i in range(3)]


def put(table: str, **values) -> None:
    with connection.cursor() as cursor:
        names, marks = ", ".join(values), ", ".join(["%s"] * len(values))
        cursor.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", list(values.values()))  # noqa: S608


@pytest.mark.django_db(transaction=True)
def test_old_devices_go_on_working_and_leave_no_clear_key(as_role):
    take_over = import_module("tenants.migrations.0012_sign_in").take_over
    one, two = factories.user(), factories.user()
    common = {"name": "Authenticator", "step": 30, "t0": 0, "digits": 6, "tolerance": 1, "drift": 0, "last_t": 5}
    with as_role("owner"):
        with connection.cursor() as cursor:
            cursor.execute(OLD_TABLES)
        for user, key, used in ((one, KEYS[0], "2026-01-01"), (one, KEYS[1], "2026-02-01"), (two, KEYS[2], None)):
            put(
                "otp_totp_totpdevice", user_id=user.pk, confirmed=True, key=key.hex(), last_used_at=used,
                throttling_failure_count=0, **common,
            )  # fmt: skip
        put("otp_static_staticdevice", user_id=one.pk, name="Sheet", confirmed=True)
        for token in ("abcd2345", "efgh2345"):
            put("otp_static_statictoken", device_id=1, token=token)

        with connection.schema_editor() as editor:
            take_over(apps, editor)
            take_over(apps, editor)  # a database without these tables
        left = connection.introspection.table_names()

    assert [device.key for device in SecondFactor.objects.order_by("user_id")] == KEYS[1:]
    assert factors.verify(two, f"{totp(KEYS[2]):06d}") is not None
    assert factors.verify(one, "abcd2345") is not None
    assert len(RecoverySheet.objects.get().hashes) == 1
    assert not [name for name in left if name.startswith("otp_")]
