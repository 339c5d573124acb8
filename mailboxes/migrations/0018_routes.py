"""Standby accounts of domains, and the minutes of each account's own results."""

import django.db.models.constraints
import django.db.models.deletion
import pghistory.utils
import pgtrigger.compiler
import pgtrigger.migrations
from django.db import migrations, models

import tenants.models.base
import tenants.models.history
from tenants.models import AddTenantKeys, AppendOnly, ProtectTenantRows


class Migration(migrations.Migration):
    dependencies = [
        ("mailboxes", "0017_ways_out"),
        ("tenants", "0014_bases"),
    ]

    operations = [
        migrations.CreateModel(
            name="StandbyEvent",
            fields=[
                ("pgh_created_at", models.DateTimeField(auto_now_add=True)),
                ("pgh_label", models.TextField(help_text="The event label.")),
                ("pgh_id", models.BigAutoField(primary_key=True, serialize=False)),
                ("pgh_before", models.JSONField(null=True)),
                ("domain", models.BigIntegerField(db_column="domain_id")),
                ("account", models.BigIntegerField(db_column="account_id")),
                ("pgh_context", pghistory.utils.JSONField(null=True)),
                ("id", models.BigIntegerField()),
                ("position", models.PositiveSmallIntegerField(help_text="The lowest comes first.")),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                (
                    "tenant",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="tenants.tenant",
                    ),
                ),
            ],
            options={
                "ordering": ("-pgh_id",),
                "abstract": False,
                "default_permissions": (),
            },
        ),
        migrations.CreateModel(
            name="AccountMinute",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("minute", models.DateTimeField()),
                ("tries", models.PositiveIntegerField(default=0)),
                (
                    "broken",
                    models.PositiveIntegerField(
                        default=0, help_text="No connection, no answer, an error of the service."
                    ),
                ),
                ("total_ms", models.PositiveBigIntegerField(default=0)),
                ("longest_ms", models.PositiveIntegerField(default=0)),
                (
                    "account",
                    tenants.models.base.TenantForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="minutes",
                        to="mailboxes.provideraccount",
                    ),
                ),
                (
                    "tenant",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="tenants.tenant",
                    ),
                ),
            ],
            options={
                "verbose_name": "minute of an account",
                "verbose_name_plural": "minutes of accounts",
                "ordering": ("-minute",),
                "constraints": [
                    models.UniqueConstraint(fields=("account", "minute"), name="account_minute_once"),
                    models.CheckConstraint(
                        condition=models.Q(("broken__lte", models.F("tries"))), name="account_minute_part"
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Standby",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("position", models.PositiveSmallIntegerField(help_text="The lowest comes first.")),
                ("ready", models.BooleanField(editable=False, null=True)),
                ("ready_reason", models.CharField(blank=True, editable=False, max_length=500)),
                ("ready_at", models.DateTimeField(blank=True, editable=False, null=True)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                (
                    "account",
                    tenants.models.base.TenantForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="routes",
                        to="mailboxes.provideraccount",
                    ),
                ),
                (
                    "domain",
                    tenants.models.base.TenantForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="standbys",
                        to="mailboxes.sendingdomain",
                    ),
                ),
                (
                    "tenant",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="tenants.tenant",
                    ),
                ),
            ],
            options={
                "verbose_name": "standby account",
                "verbose_name_plural": "standby accounts",
                "ordering": ("domain", "position"),
                "indexes": [models.Index(fields=["account"], name="standby_account")],
                "constraints": [
                    models.UniqueConstraint(fields=("domain", "account"), name="standby_once"),
                    models.UniqueConstraint(
                        deferrable=django.db.models.constraints.Deferrable["DEFERRED"],
                        fields=("domain", "position"),
                        name="standby_in_order",
                    ),
                ],
            },
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="standby",
            trigger=pgtrigger.compiler.Trigger(
                name="insert",
                sql=tenants.models.history.OwnersTriggerSql(
                    func='INSERT INTO "mailboxes_standbyevent" ("domain_id", "account_id", "tenant_id", "id", "position", "created_at", "pgh_created_at", "pgh_label", "pgh_context") SELECT new_values."domain_id", new_values."account_id", new_values."tenant_id", new_values."id", new_values."position", new_values."created_at", NOW(), \'insert\', NULLIF(current_setting(\'pghistory.context_metadata\', true), \'\')::jsonb FROM new_values ; RETURN NULL;',
                    hash="bc348b5e23c41e5486aaa48166ad629a614cd2c2",
                    level="STATEMENT",
                    operation="INSERT",
                    pgid="pgtrigger_insert_626c1",
                    referencing="REFERENCING NEW TABLE AS new_values ",
                    table="mailboxes_standby",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="standby",
            trigger=pgtrigger.compiler.Trigger(
                name="update",
                sql=tenants.models.history.OwnersTriggerSql(
                    func='INSERT INTO "mailboxes_standbyevent" ("domain_id", "account_id", "tenant_id", "id", "position", "created_at", "pgh_created_at", "pgh_label", "pgh_context", "pgh_before") SELECT new_values."domain_id", new_values."account_id", new_values."tenant_id", new_values."id", new_values."position", new_values."created_at", NOW(), \'update\', NULLIF(current_setting(\'pghistory.context_metadata\', true), \'\')::jsonb, CASE WHEN old_values."tenant_id" IS DISTINCT FROM new_values."tenant_id" THEN jsonb_build_object(\'tenant\', old_values."tenant_id") ELSE \'{}\'::jsonb END || CASE WHEN old_values."domain_id" IS DISTINCT FROM new_values."domain_id" THEN jsonb_build_object(\'domain\', old_values."domain_id") ELSE \'{}\'::jsonb END || CASE WHEN old_values."account_id" IS DISTINCT FROM new_values."account_id" THEN jsonb_build_object(\'account\', old_values."account_id") ELSE \'{}\'::jsonb END || CASE WHEN old_values."position" IS DISTINCT FROM new_values."position" THEN jsonb_build_object(\'position\', old_values."position") ELSE \'{}\'::jsonb END || CASE WHEN old_values."created_at" IS DISTINCT FROM new_values."created_at" THEN jsonb_build_object(\'created_at\', old_values."created_at") ELSE \'{}\'::jsonb END FROM old_values RIGHT JOIN new_values ON (old_values."id") = (new_values."id") WHERE (old_values."account_id" IS DISTINCT FROM (new_values."account_id") OR old_values."created_at" IS DISTINCT FROM (new_values."created_at") OR old_values."domain_id" IS DISTINCT FROM (new_values."domain_id") OR old_values."position" IS DISTINCT FROM (new_values."position") OR old_values."tenant_id" IS DISTINCT FROM (new_values."tenant_id")); RETURN NULL;',
                    hash="598cd3d7043055bf8a32afa223c5986e8771551d",
                    level="STATEMENT",
                    operation="UPDATE",
                    pgid="pgtrigger_update_30a29",
                    referencing="REFERENCING OLD TABLE AS old_values  NEW TABLE AS new_values ",
                    table="mailboxes_standby",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="standby",
            trigger=pgtrigger.compiler.Trigger(
                name="delete",
                sql=tenants.models.history.OwnersTriggerSql(
                    func='INSERT INTO "mailboxes_standbyevent" ("domain_id", "account_id", "tenant_id", "id", "position", "created_at", "pgh_created_at", "pgh_label", "pgh_context") SELECT old_values."domain_id", old_values."account_id", old_values."tenant_id", old_values."id", old_values."position", old_values."created_at", NOW(), \'delete\', NULLIF(current_setting(\'pghistory.context_metadata\', true), \'\')::jsonb FROM old_values ; RETURN NULL;',
                    hash="d9fdd560d7577a502adede1e08f55392d04c96a9",
                    level="STATEMENT",
                    operation="DELETE",
                    pgid="pgtrigger_delete_81c7a",
                    referencing="REFERENCING OLD TABLE AS old_values ",
                    table="mailboxes_standby",
                    when="AFTER",
                ),
            ),
        ),
        migrations.AddIndex(
            model_name="standbyevent",
            index=models.Index(fields=["id", "pgh_id"], name="standbyevent_row"),
        ),
        AddTenantKeys("Standby", "AccountMinute", unique=False),
        ProtectTenantRows("Standby", "AccountMinute", "StandbyEvent"),
        AppendOnly("StandbyEvent"),
    ]
