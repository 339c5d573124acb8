"""System checks of our own: outreach.E001 and on."""

from __future__ import annotations

import base64
import binascii
import ipaddress
from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

from django.apps import apps
from django.conf import settings
from django.core.checks import Error, Tags, Warning, register
from django.core.exceptions import FieldDoesNotExist
from django.db import connections, models
from django.db.migrations.executor import MigrationExecutor
from pgtrigger import registry

from outreach.common import sealed_fields

KEY_BYTES = 32


def bad_key(text: str) -> str | None:
    """Return what is wrong with a base64 key, or None."""
    try:
        size = len(base64.b64decode(text, validate=True))
    except binascii.Error:
        return "is not base64"
    return None if size >= KEY_BYTES else f"has {size} bytes, {KEY_BYTES} are needed"


@register(Tags.security)
def keys_are_keys(app_configs: Any, **kwargs: Any) -> list[Error]:
    """E001: a key list that can't be read. The message names the id, never the key."""
    found = []
    for name in ("CREDENTIAL_KEYS", "TOKEN_KEYS"):
        ids = []
        for entry in getattr(settings, name).split(","):
            key_id, colon, key = entry.strip().partition(":")
            ids.append(key_id)
            fault = bad_key(key) if colon and key_id else "is not id:base64"
            if fault:
                hint = "Make one with: echo k1:$(head -c 32 /dev/urandom | base64)"
                found.append(Error(f"{name}: the entry {key_id[:12]!r} {fault}.", hint=hint, id="outreach.E001"))
        if len(set(ids)) != len(ids):
            found.append(Error(f"{name}: a key id stands there twice.", id="outreach.E001"))
    for name in ("HASH_KEY", "AUDIT_KEY"):
        if fault := bad_key(getattr(settings, name)):
            found.append(Error(f"{name} {fault}.", id="outreach.E001"))
    return found


@register(Tags.security, deploy=True)
def insecure_http_stays_on_loopback(app_configs: Any, **kwargs: Any) -> list[Error]:
    """E002: plain http may be served on loopback only, where nobody listens in."""
    strangers = set(settings.ALLOWED_HOSTS) - {"localhost", "127.0.0.1", "[::1]"}
    if settings.INSECURE_HTTP and strangers and not settings.DEBUG:
        return [
            Error(
                f"INSECURE_HTTP is on, but ALLOWED_HOSTS has {', '.join(sorted(strangers))}.",
                hint="Take INSECURE_HTTP out and put a proxy with a certificate in front (BEHIND_PROXY=1).",
                id="outreach.E002",
            )
        ]
    return []


LEAST_ALIVE_DAYS = 60  # CASL; also what replies and opt-outs that come late need


@register()
def retired_domains_stay_alive(app_configs: Any, **kwargs: Any) -> list[Error]:
    """E013: opt-outs have to work for a time after the last mail."""
    if settings.KEEP_ALIVE_DAYS >= LEAST_ALIVE_DAYS:
        return []
    text = f"KEEP_ALIVE_DAYS is {settings.KEEP_ALIVE_DAYS}: unsubscribe hosts have to answer for longer."
    return [Error(text, hint=f"Set it to {LEAST_ALIVE_DAYS} or more.", id="outreach.E013")]


@register(Tags.database, deploy=True)
def leases_outlive_answers(app_configs: Any, **kwargs: Any) -> list[Warning]:
    """W001: a plan that looks less far ahead than it runs leaves mailboxes idle between runs."""
    if settings.PLAN_HORIZON_SECONDS < 2 * settings.PLAN_EVERY_SECONDS:
        hint = "Set PLAN_HORIZON_SECONDS to at least twice PLAN_EVERY_SECONDS."
        return [Warning("The planner looks less than two of its runs ahead.", hint=hint, id="outreach.W001")]
    return []


UNENCRYPTED = {"", "disable", "allow", "prefer"}  # sslmodes by which PostgreSQL may be spoken to in clear, or is


@register(Tags.security, deploy=True)
def far_servers_are_spoken_to_by_tls(app_configs: Any, **kwargs: Any) -> list[Warning]:
    """W010: a database or queue on another machine, reached in clear or without knowing whom one speaks to."""
    found = []
    for role, parts in settings.DATABASE_SETTINGS.items():
        mode = parts["OPTIONS"].get("sslmode", "")
        if _is_far(parts["OPTIONS"].get("host") or parts["HOST"]) and mode != "verify-full":
            how = "without TLS" if mode in UNENCRYPTED else f"with sslmode={mode}"
            hint = "Add ?sslmode=verify-full&sslrootcert=/path/to/ca.pem to its URL."
            found.append(Warning(f"PostgreSQL is reached {how} as {role}.", hint=hint, id="outreach.W010"))
    redis = urlsplit(settings.REDIS_URL)
    unchecked = parse_qs(redis.query).get("ssl_cert_reqs", ["required"])[-1] != "required"
    if _is_far(redis.hostname or "") and (redis.scheme != "rediss" or unchecked):
        hint = "Use rediss://...?ssl_cert_reqs=required&ssl_ca_certs=/path/to/ca.pem."
        found.append(
            Warning("Redis is reached without TLS, or by anybody's certificate.", hint=hint, id="outreach.W010")
        )
    return found


def _is_far(host: str) -> bool:
    """Whether what is said to that host leaves this machine; an empty one or a path is a socket."""
    if not host or host.startswith("/") or host == "localhost":
        return False
    try:
        return not ipaddress.ip_address(host).is_loopback
    except ValueError:
        return True


# Every table of ours with its partitions, its switches, and whom each policy lets through.
WALLS = """
WITH asked AS (SELECT name, to_regclass(quote_ident(name)) AS root FROM unnest(%s::text[]) AS name),
tables AS (
    SELECT name, root AS oid FROM asked WHERE root IS NOT NULL
    UNION SELECT name, relid FROM asked, LATERAL pg_partition_tree(root) WHERE root IS NOT NULL
)
SELECT t.name, c.relname, c.relrowsecurity, c.relforcerowsecurity, coalesce(array_agg(p.polname::text)
    FILTER (WHERE p.polpermissive AND p.polcmd = '*' AND p.polroles = '{0}' AND pg_get_expr(p.polqual, p.polrelid)
        LIKE '%%app\\_tenants()%%' AND pg_get_expr(p.polqual, p.polrelid) = pg_get_expr(p.polwithcheck, p.polrelid)),
    '{}'), coalesce(array_agg(p.polname::text) FILTER (WHERE p.polpermissive), '{}')
FROM tables t JOIN pg_class c ON c.oid = t.oid LEFT JOIN pg_policy p ON p.polrelid = c.oid
GROUP BY t.name, c.oid, c.relname, c.relrowsecurity, c.relforcerowsecurity ORDER BY c.relname"""
WALL, OWNERS_DOOR = "tenant_rows", "owner_rows"


def is_of_tenants(model: Any) -> bool:
    """Whether a model's rows belong to tenants, or are tenants; a proxy has none of its own."""
    if model._meta.proxy:
        return False
    if model._meta.label == "tenants.Tenant":
        return True
    try:
        return model._meta.get_field("tenant").is_relation
    except FieldDoesNotExist:
        return False


def migrated(aliases: Iterable[str] | None) -> Iterator[Any]:
    """The databases in which no migration waits: one that does may be what brings what a check misses."""
    for alias in aliases or ():
        executor = MigrationExecutor(connections[alias])
        if not executor.migration_plan(executor.loader.graph.leaf_nodes()):
            yield connections[alias]


@register(Tags.database)
def tenants_rows_are_walled(app_configs: Any, databases: Any = None, **kwargs: Any) -> list[Error]:
    """E003: a table with tenants' rows, or a partition of one, that shows them to whoever asks."""
    found = []
    for connection in migrated(databases):
        labels = {model._meta.db_table: model._meta.label for model in apps.get_models() if is_of_tenants(model)}
        with connection.cursor() as cursor:
            cursor.execute(WALLS, [list(labels)])
            found += [
                Error(
                    f"{labels[table]}: the table {name} {gap}.",
                    hint=f"Put ProtectTenantRows({labels[table].split('.')[1]!r}) into a migration.",
                    id="outreach.E003",
                )
                for table, name, enabled, forced, walls, doors in cursor.fetchall()
                if (gap := _gap(enabled, forced, set(walls), set(doors)))
            ]
    return found


@register(Tags.models)
def sealed_fields_are_listed(app_configs: Any, **kwargs: Any) -> list[Error]:
    """E004: a sealed field that the rotation of keys would pass by, or a listed one that is not there."""
    there = {
        (model._meta.label, field.name): model
        for model in apps.get_models()
        for field in model._meta.local_fields
        if isinstance(field, models.BinaryField) and field.name.startswith("sealed_")
    }
    listed = {(entry.model, entry.field) for entry in sealed_fields.every()}
    found = [
        Error(
            f"{label}.{name} is sealed, but rotate_keys does not know it.",
            hint=f'Write below the class: sealed_fields.register("{label}", "{name}", "what it is").',
            id="outreach.E004",
        )
        for label, name in sorted(there.keys() - listed)
    ]
    found += [
        Error(f"{label}.{name} is listed as sealed, but is no such field.", id="outreach.E004")
        for label, name in sorted(listed - there.keys())
    ]
    for label, name in sorted(there.keys() & listed):
        if not any(field.name == "seal_ref" for field in there[label, name]._meta.local_fields):
            text = f"{label}.{name} is sealed, but {label} has no field seal_ref to bind it to."
            found.append(Error(text, id="outreach.E004"))
    return found


def _gap(enabled: bool, forced: bool, walls: set[str], doors: set[str]) -> str:
    """What is wrong with a table's row security; empty when nothing is."""
    if not enabled:
        return "has no row-level security"
    if not forced:
        return "lets its owner pass by row-level security"
    if WALL not in walls:
        return f"has no policy {WALL} that asks for the tenant"
    if more := doors - {WALL, OWNERS_DOOR}:
        return f"has another policy that lets rows through: {', '.join(sorted(more))}"
    return ""


# Triggers of the history as they work: switched on, with the owner's rights.
WORKING = """
SELECT t.tgrelid::regclass::text, t.tgname FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid
WHERE t.tgenabled IN ('O', 'A') AND p.prosecdef AND t.tgrelid = ANY (%s::regclass[])"""


@register(Tags.database)
def history_is_kept(app_configs: Any, databases: Any = None, **kwargs: Any) -> list[Error]:
    """E012: a table whose changes leave no event, since a trigger of its history is missing or switched off."""
    wanted = {
        (model._meta.db_table, trigger.get_pgid(model)): model._meta.label
        for model, trigger in registry.registered()
        if hasattr(model, "pgh_event_models")
    }
    found = []
    for connection in migrated(databases):
        with connection.cursor() as cursor:
            cursor.execute(WORKING, [sorted({table for table, _ in wanted})])
            working = set(cursor.fetchall())
        found += [
            Error(
                f"{label}: the table {table} is without its trigger {name}.",
                hint=f"ALTER TABLE {table} ENABLE TRIGGER {name}, or migrate back and forth where it is gone.",
                id="outreach.E012",
            )
            for (table, name), label in sorted(wanted.items())
            if (table, name) not in working
        ]
    return found
