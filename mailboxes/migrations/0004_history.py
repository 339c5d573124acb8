import django.db.models.deletion
import pghistory.utils
import pgtrigger.compiler
import pgtrigger.migrations
from django.db import migrations, models

import tenants.models.history
from tenants.models import AppendOnly, ProtectTenantRows


class Migration(migrations.Migration):
    """Events of what is configured: who changed what from where, beneath the audit."""

    dependencies = [
        ("mailboxes", "0003_row_security"),
        ("tenants", "0010_history"),
    ]

    operations = [
        migrations.CreateModel(
            name="MailboxEvent",
            fields=[
                ("pgh_created_at", models.DateTimeField(auto_now_add=True)),
                ("pgh_label", models.TextField(help_text="The event label.")),
                ("pgh_id", models.BigAutoField(primary_key=True, serialize=False)),
                ("pgh_before", models.JSONField(null=True)),
                ("pool", models.BigIntegerField(db_column="pool_id")),
                ("domain", models.BigIntegerField(db_column="domain_id")),
                ("home", models.BigIntegerField(db_column="home_id")),
                ("pgh_context", pghistory.utils.JSONField(null=True)),
                ("id", models.BigIntegerField()),
                ("address", models.CharField(help_text="As it stands in From.", max_length=254)),
                ("address_key", models.CharField(editable=False, max_length=254)),
                ("display_name", models.CharField(blank=True, max_length=200)),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("reserve", "reserve"),
                            ("ramping", "ramping"),
                            ("active", "active"),
                            ("quarantined", "quarantined"),
                            ("probing", "probing"),
                            ("retired", "retired"),
                        ],
                        default="active",
                        max_length=12,
                    ),
                ),
                (
                    "hold",
                    models.CharField(
                        choices=[("none", "none"), ("locked", "locked"), ("sign_in_failed", "sign-in failed")],
                        default="none",
                        max_length=16,
                    ),
                ),
                ("state_reason", models.CharField(blank=True, max_length=500)),
                ("username", models.CharField(blank=True, max_length=254)),
                (
                    "daily_cap",
                    models.PositiveIntegerField(default=40, help_text="Messages per day of the tenant's time zone."),
                ),
                ("min_gap_seconds", models.PositiveIntegerField(default=60)),
                ("weight", models.FloatField(default=1.0, help_text="Twice the weight, twice the mail.")),
                ("reserve_share", models.FloatField(default=0.2, help_text="Part of its cap that a reserve takes.")),
                ("created_at", models.DateTimeField(auto_now_add=True)),
            ],
            options={
                "ordering": ("-pgh_id",),
                "abstract": False,
                "default_permissions": (),
            },
        ),
        migrations.CreateModel(
            name="PoolEvent",
            fields=[
                ("pgh_created_at", models.DateTimeField(auto_now_add=True)),
                ("pgh_label", models.TextField(help_text="The event label.")),
                ("pgh_id", models.BigAutoField(primary_key=True, serialize=False)),
                ("pgh_before", models.JSONField(null=True)),
                ("pgh_context", pghistory.utils.JSONField(null=True)),
                ("id", models.BigIntegerField()),
                ("name", models.CharField(max_length=100)),
                ("archived_at", models.DateTimeField(blank=True, null=True)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
            ],
            options={
                "ordering": ("-pgh_id",),
                "abstract": False,
                "default_permissions": (),
            },
        ),
        migrations.CreateModel(
            name="ProviderAccountEvent",
            fields=[
                ("pgh_created_at", models.DateTimeField(auto_now_add=True)),
                ("pgh_label", models.TextField(help_text="The event label.")),
                ("pgh_id", models.BigAutoField(primary_key=True, serialize=False)),
                ("pgh_before", models.JSONField(null=True)),
                ("pgh_context", pghistory.utils.JSONField(null=True)),
                ("id", models.BigIntegerField()),
                ("kind", models.CharField(choices=[("smtp", "SMTP")], default="smtp", max_length=10)),
                ("host", models.CharField(max_length=253)),
                ("port", models.PositiveIntegerField()),
                (
                    "security",
                    models.CharField(
                        choices=[
                            ("tls", "TLS from the first byte"),
                            ("starttls", "STARTTLS, required"),
                            ("none", "none (loopback in development only)"),
                        ],
                        default="starttls",
                        max_length=10,
                    ),
                ),
                (
                    "state",
                    models.CharField(
                        choices=[("active", "active"), ("paused", "paused"), ("suspended", "suspended")],
                        default="active",
                        max_length=10,
                    ),
                ),
                ("state_reason", models.CharField(blank=True, max_length=500)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
            ],
            options={
                "ordering": ("-pgh_id",),
                "abstract": False,
                "default_permissions": (),
            },
        ),
        migrations.CreateModel(
            name="SendingDomainEvent",
            fields=[
                ("pgh_created_at", models.DateTimeField(auto_now_add=True)),
                ("pgh_label", models.TextField(help_text="The event label.")),
                ("pgh_id", models.BigAutoField(primary_key=True, serialize=False)),
                ("pgh_before", models.JSONField(null=True)),
                ("pgh_context", pghistory.utils.JSONField(null=True)),
                ("id", models.BigIntegerField()),
                (
                    "name",
                    models.CharField(help_text="Lower case, internationalised labels as A-labels.", max_length=253),
                ),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("new", "new"),
                            ("verified", "verified"),
                            ("degraded", "degraded"),
                            ("blocked", "blocked"),
                            ("retired", "retired"),
                        ],
                        default="new",
                        max_length=10,
                    ),
                ),
                (
                    "hourly_cap",
                    models.PositiveIntegerField(
                        blank=True, help_text="Messages per UTC hour; empty: no limit.", null=True
                    ),
                ),
                ("created_at", models.DateTimeField(auto_now_add=True)),
            ],
            options={
                "ordering": ("-pgh_id",),
                "abstract": False,
                "default_permissions": (),
            },
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="mailbox",
            trigger=pgtrigger.compiler.Trigger(
                name="insert",
                sql=tenants.models.history.OwnersTriggerSql(
                    func='INSERT INTO "mailboxes_mailboxevent" ("pool_id", "domain_id", "home_id", "tenant_id", "id", "address", "address_key", "display_name", "state", "hold", "state_reason", "username", "daily_cap", "min_gap_seconds", "weight", "reserve_share", "created_at", "pgh_created_at", "pgh_label", "pgh_context") SELECT new_values."pool_id", new_values."domain_id", new_values."home_id", new_values."tenant_id", new_values."id", new_values."address", new_values."address_key", new_values."display_name", new_values."state", new_values."hold", new_values."state_reason", new_values."username", new_values."daily_cap", new_values."min_gap_seconds", new_values."weight", new_values."reserve_share", new_values."created_at", NOW(), \'insert\', NULLIF(current_setting(\'pghistory.context_metadata\', true), \'\')::jsonb FROM new_values ; RETURN NULL;',
                    hash="ffd233ca67552ac4347d99059e8c7431c9a4baaf",
                    level="STATEMENT",
                    operation="INSERT",
                    pgid="pgtrigger_insert_d84ab",
                    referencing="REFERENCING NEW TABLE AS new_values ",
                    table="mailboxes_mailbox",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="mailbox",
            trigger=pgtrigger.compiler.Trigger(
                name="update",
                sql=tenants.models.history.OwnersTriggerSql(
                    func='INSERT INTO "mailboxes_mailboxevent" ("pool_id", "domain_id", "home_id", "tenant_id", "id", "address", "address_key", "display_name", "state", "hold", "state_reason", "username", "daily_cap", "min_gap_seconds", "weight", "reserve_share", "created_at", "pgh_created_at", "pgh_label", "pgh_context", "pgh_before") SELECT new_values."pool_id", new_values."domain_id", new_values."home_id", new_values."tenant_id", new_values."id", new_values."address", new_values."address_key", new_values."display_name", new_values."state", new_values."hold", new_values."state_reason", new_values."username", new_values."daily_cap", new_values."min_gap_seconds", new_values."weight", new_values."reserve_share", new_values."created_at", NOW(), \'update\', NULLIF(current_setting(\'pghistory.context_metadata\', true), \'\')::jsonb, CASE WHEN old_values."tenant_id" IS DISTINCT FROM new_values."tenant_id" THEN jsonb_build_object(\'tenant\', old_values."tenant_id") ELSE \'{}\'::jsonb END || CASE WHEN old_values."pool_id" IS DISTINCT FROM new_values."pool_id" THEN jsonb_build_object(\'pool\', old_values."pool_id") ELSE \'{}\'::jsonb END || CASE WHEN old_values."domain_id" IS DISTINCT FROM new_values."domain_id" THEN jsonb_build_object(\'domain\', old_values."domain_id") ELSE \'{}\'::jsonb END || CASE WHEN old_values."home_id" IS DISTINCT FROM new_values."home_id" THEN jsonb_build_object(\'home\', old_values."home_id") ELSE \'{}\'::jsonb END || CASE WHEN old_values."address" IS DISTINCT FROM new_values."address" THEN jsonb_build_object(\'address\', old_values."address") ELSE \'{}\'::jsonb END || CASE WHEN old_values."address_key" IS DISTINCT FROM new_values."address_key" THEN jsonb_build_object(\'address_key\', old_values."address_key") ELSE \'{}\'::jsonb END || CASE WHEN old_values."display_name" IS DISTINCT FROM new_values."display_name" THEN jsonb_build_object(\'display_name\', old_values."display_name") ELSE \'{}\'::jsonb END || CASE WHEN old_values."state" IS DISTINCT FROM new_values."state" THEN jsonb_build_object(\'state\', old_values."state") ELSE \'{}\'::jsonb END || CASE WHEN old_values."hold" IS DISTINCT FROM new_values."hold" THEN jsonb_build_object(\'hold\', old_values."hold") ELSE \'{}\'::jsonb END || CASE WHEN old_values."state_reason" IS DISTINCT FROM new_values."state_reason" THEN jsonb_build_object(\'state_reason\', old_values."state_reason") ELSE \'{}\'::jsonb END || CASE WHEN old_values."username" IS DISTINCT FROM new_values."username" THEN jsonb_build_object(\'username\', old_values."username") ELSE \'{}\'::jsonb END || CASE WHEN old_values."sealed_password" IS DISTINCT FROM new_values."sealed_password" THEN jsonb_build_object(\'sealed_password\', NULL) ELSE \'{}\'::jsonb END || CASE WHEN old_values."daily_cap" IS DISTINCT FROM new_values."daily_cap" THEN jsonb_build_object(\'daily_cap\', old_values."daily_cap") ELSE \'{}\'::jsonb END || CASE WHEN old_values."min_gap_seconds" IS DISTINCT FROM new_values."min_gap_seconds" THEN jsonb_build_object(\'min_gap_seconds\', old_values."min_gap_seconds") ELSE \'{}\'::jsonb END || CASE WHEN old_values."weight" IS DISTINCT FROM new_values."weight" THEN jsonb_build_object(\'weight\', old_values."weight") ELSE \'{}\'::jsonb END || CASE WHEN old_values."reserve_share" IS DISTINCT FROM new_values."reserve_share" THEN jsonb_build_object(\'reserve_share\', old_values."reserve_share") ELSE \'{}\'::jsonb END || CASE WHEN old_values."created_at" IS DISTINCT FROM new_values."created_at" THEN jsonb_build_object(\'created_at\', old_values."created_at") ELSE \'{}\'::jsonb END FROM old_values RIGHT JOIN new_values ON (old_values."id") = (new_values."id") WHERE (old_values."address" IS DISTINCT FROM (new_values."address") OR old_values."address_key" IS DISTINCT FROM (new_values."address_key") OR old_values."created_at" IS DISTINCT FROM (new_values."created_at") OR old_values."daily_cap" IS DISTINCT FROM (new_values."daily_cap") OR old_values."display_name" IS DISTINCT FROM (new_values."display_name") OR old_values."domain_id" IS DISTINCT FROM (new_values."domain_id") OR old_values."hold" IS DISTINCT FROM (new_values."hold") OR old_values."home_id" IS DISTINCT FROM (new_values."home_id") OR old_values."min_gap_seconds" IS DISTINCT FROM (new_values."min_gap_seconds") OR old_values."pool_id" IS DISTINCT FROM (new_values."pool_id") OR old_values."reserve_share" IS DISTINCT FROM (new_values."reserve_share") OR old_values."sealed_password" IS DISTINCT FROM (new_values."sealed_password") OR old_values."state" IS DISTINCT FROM (new_values."state") OR old_values."state_reason" IS DISTINCT FROM (new_values."state_reason") OR old_values."tenant_id" IS DISTINCT FROM (new_values."tenant_id") OR old_values."username" IS DISTINCT FROM (new_values."username") OR old_values."weight" IS DISTINCT FROM (new_values."weight")); RETURN NULL;',
                    hash="b314a683f5e99e8a033fd65dd365187f826075d0",
                    level="STATEMENT",
                    operation="UPDATE",
                    pgid="pgtrigger_update_8a9b6",
                    referencing="REFERENCING OLD TABLE AS old_values  NEW TABLE AS new_values ",
                    table="mailboxes_mailbox",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="mailbox",
            trigger=pgtrigger.compiler.Trigger(
                name="delete",
                sql=tenants.models.history.OwnersTriggerSql(
                    func='INSERT INTO "mailboxes_mailboxevent" ("pool_id", "domain_id", "home_id", "tenant_id", "id", "address", "address_key", "display_name", "state", "hold", "state_reason", "username", "daily_cap", "min_gap_seconds", "weight", "reserve_share", "created_at", "pgh_created_at", "pgh_label", "pgh_context") SELECT old_values."pool_id", old_values."domain_id", old_values."home_id", old_values."tenant_id", old_values."id", old_values."address", old_values."address_key", old_values."display_name", old_values."state", old_values."hold", old_values."state_reason", old_values."username", old_values."daily_cap", old_values."min_gap_seconds", old_values."weight", old_values."reserve_share", old_values."created_at", NOW(), \'delete\', NULLIF(current_setting(\'pghistory.context_metadata\', true), \'\')::jsonb FROM old_values ; RETURN NULL;',
                    hash="902b18aa8d5c91df3b47e46f3e4f63ee5743150f",
                    level="STATEMENT",
                    operation="DELETE",
                    pgid="pgtrigger_delete_3c981",
                    referencing="REFERENCING OLD TABLE AS old_values ",
                    table="mailboxes_mailbox",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="pool",
            trigger=pgtrigger.compiler.Trigger(
                name="insert",
                sql=tenants.models.history.OwnersTriggerSql(
                    func='INSERT INTO "mailboxes_poolevent" ("tenant_id", "id", "name", "archived_at", "created_at", "pgh_created_at", "pgh_label", "pgh_context") SELECT new_values."tenant_id", new_values."id", new_values."name", new_values."archived_at", new_values."created_at", NOW(), \'insert\', NULLIF(current_setting(\'pghistory.context_metadata\', true), \'\')::jsonb FROM new_values ; RETURN NULL;',
                    hash="0e85e0e0c3748bcc1197fb1e0114e8b9dc952408",
                    level="STATEMENT",
                    operation="INSERT",
                    pgid="pgtrigger_insert_4bd71",
                    referencing="REFERENCING NEW TABLE AS new_values ",
                    table="mailboxes_pool",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="pool",
            trigger=pgtrigger.compiler.Trigger(
                name="update",
                sql=tenants.models.history.OwnersTriggerSql(
                    func='INSERT INTO "mailboxes_poolevent" ("tenant_id", "id", "name", "archived_at", "created_at", "pgh_created_at", "pgh_label", "pgh_context", "pgh_before") SELECT new_values."tenant_id", new_values."id", new_values."name", new_values."archived_at", new_values."created_at", NOW(), \'update\', NULLIF(current_setting(\'pghistory.context_metadata\', true), \'\')::jsonb, CASE WHEN old_values."tenant_id" IS DISTINCT FROM new_values."tenant_id" THEN jsonb_build_object(\'tenant\', old_values."tenant_id") ELSE \'{}\'::jsonb END || CASE WHEN old_values."name" IS DISTINCT FROM new_values."name" THEN jsonb_build_object(\'name\', old_values."name") ELSE \'{}\'::jsonb END || CASE WHEN old_values."archived_at" IS DISTINCT FROM new_values."archived_at" THEN jsonb_build_object(\'archived_at\', old_values."archived_at") ELSE \'{}\'::jsonb END || CASE WHEN old_values."created_at" IS DISTINCT FROM new_values."created_at" THEN jsonb_build_object(\'created_at\', old_values."created_at") ELSE \'{}\'::jsonb END FROM old_values RIGHT JOIN new_values ON (old_values."id") = (new_values."id") WHERE (old_values."archived_at" IS DISTINCT FROM (new_values."archived_at") OR old_values."created_at" IS DISTINCT FROM (new_values."created_at") OR old_values."name" IS DISTINCT FROM (new_values."name") OR old_values."tenant_id" IS DISTINCT FROM (new_values."tenant_id")); RETURN NULL;',
                    hash="300143e8e67f8fb035dea29c4d294f4a1aca54bc",
                    level="STATEMENT",
                    operation="UPDATE",
                    pgid="pgtrigger_update_fed68",
                    referencing="REFERENCING OLD TABLE AS old_values  NEW TABLE AS new_values ",
                    table="mailboxes_pool",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="pool",
            trigger=pgtrigger.compiler.Trigger(
                name="delete",
                sql=tenants.models.history.OwnersTriggerSql(
                    func='INSERT INTO "mailboxes_poolevent" ("tenant_id", "id", "name", "archived_at", "created_at", "pgh_created_at", "pgh_label", "pgh_context") SELECT old_values."tenant_id", old_values."id", old_values."name", old_values."archived_at", old_values."created_at", NOW(), \'delete\', NULLIF(current_setting(\'pghistory.context_metadata\', true), \'\')::jsonb FROM old_values ; RETURN NULL;',
                    hash="2d3e6dda80a2eb928d9fbf8a1653fd7d4ee10e37",
                    level="STATEMENT",
                    operation="DELETE",
                    pgid="pgtrigger_delete_8ad6f",
                    referencing="REFERENCING OLD TABLE AS old_values ",
                    table="mailboxes_pool",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="provideraccount",
            trigger=pgtrigger.compiler.Trigger(
                name="insert",
                sql=tenants.models.history.OwnersTriggerSql(
                    func='INSERT INTO "mailboxes_provideraccountevent" ("tenant_id", "id", "kind", "host", "port", "security", "state", "state_reason", "created_at", "pgh_created_at", "pgh_label", "pgh_context") SELECT new_values."tenant_id", new_values."id", new_values."kind", new_values."host", new_values."port", new_values."security", new_values."state", new_values."state_reason", new_values."created_at", NOW(), \'insert\', NULLIF(current_setting(\'pghistory.context_metadata\', true), \'\')::jsonb FROM new_values ; RETURN NULL;',
                    hash="0f3ca84ecfcdfaff435e01f153a0d121640c6da7",
                    level="STATEMENT",
                    operation="INSERT",
                    pgid="pgtrigger_insert_d27bf",
                    referencing="REFERENCING NEW TABLE AS new_values ",
                    table="mailboxes_provideraccount",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="provideraccount",
            trigger=pgtrigger.compiler.Trigger(
                name="update",
                sql=tenants.models.history.OwnersTriggerSql(
                    func='INSERT INTO "mailboxes_provideraccountevent" ("tenant_id", "id", "kind", "host", "port", "security", "state", "state_reason", "created_at", "pgh_created_at", "pgh_label", "pgh_context", "pgh_before") SELECT new_values."tenant_id", new_values."id", new_values."kind", new_values."host", new_values."port", new_values."security", new_values."state", new_values."state_reason", new_values."created_at", NOW(), \'update\', NULLIF(current_setting(\'pghistory.context_metadata\', true), \'\')::jsonb, CASE WHEN old_values."tenant_id" IS DISTINCT FROM new_values."tenant_id" THEN jsonb_build_object(\'tenant\', old_values."tenant_id") ELSE \'{}\'::jsonb END || CASE WHEN old_values."kind" IS DISTINCT FROM new_values."kind" THEN jsonb_build_object(\'kind\', old_values."kind") ELSE \'{}\'::jsonb END || CASE WHEN old_values."host" IS DISTINCT FROM new_values."host" THEN jsonb_build_object(\'host\', old_values."host") ELSE \'{}\'::jsonb END || CASE WHEN old_values."port" IS DISTINCT FROM new_values."port" THEN jsonb_build_object(\'port\', old_values."port") ELSE \'{}\'::jsonb END || CASE WHEN old_values."security" IS DISTINCT FROM new_values."security" THEN jsonb_build_object(\'security\', old_values."security") ELSE \'{}\'::jsonb END || CASE WHEN old_values."state" IS DISTINCT FROM new_values."state" THEN jsonb_build_object(\'state\', old_values."state") ELSE \'{}\'::jsonb END || CASE WHEN old_values."state_reason" IS DISTINCT FROM new_values."state_reason" THEN jsonb_build_object(\'state_reason\', old_values."state_reason") ELSE \'{}\'::jsonb END || CASE WHEN old_values."created_at" IS DISTINCT FROM new_values."created_at" THEN jsonb_build_object(\'created_at\', old_values."created_at") ELSE \'{}\'::jsonb END FROM old_values RIGHT JOIN new_values ON (old_values."id") = (new_values."id") WHERE (old_values."created_at" IS DISTINCT FROM (new_values."created_at") OR old_values."host" IS DISTINCT FROM (new_values."host") OR old_values."kind" IS DISTINCT FROM (new_values."kind") OR old_values."port" IS DISTINCT FROM (new_values."port") OR old_values."security" IS DISTINCT FROM (new_values."security") OR old_values."state" IS DISTINCT FROM (new_values."state") OR old_values."state_reason" IS DISTINCT FROM (new_values."state_reason") OR old_values."tenant_id" IS DISTINCT FROM (new_values."tenant_id")); RETURN NULL;',
                    hash="c19a1129344c43e3bf9df6d99e0ddd752d2cea35",
                    level="STATEMENT",
                    operation="UPDATE",
                    pgid="pgtrigger_update_52c6f",
                    referencing="REFERENCING OLD TABLE AS old_values  NEW TABLE AS new_values ",
                    table="mailboxes_provideraccount",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="provideraccount",
            trigger=pgtrigger.compiler.Trigger(
                name="delete",
                sql=tenants.models.history.OwnersTriggerSql(
                    func='INSERT INTO "mailboxes_provideraccountevent" ("tenant_id", "id", "kind", "host", "port", "security", "state", "state_reason", "created_at", "pgh_created_at", "pgh_label", "pgh_context") SELECT old_values."tenant_id", old_values."id", old_values."kind", old_values."host", old_values."port", old_values."security", old_values."state", old_values."state_reason", old_values."created_at", NOW(), \'delete\', NULLIF(current_setting(\'pghistory.context_metadata\', true), \'\')::jsonb FROM old_values ; RETURN NULL;',
                    hash="a90bdd2f272026d43b8a74cb6f9594d9e5da3b54",
                    level="STATEMENT",
                    operation="DELETE",
                    pgid="pgtrigger_delete_34e31",
                    referencing="REFERENCING OLD TABLE AS old_values ",
                    table="mailboxes_provideraccount",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="sendingdomain",
            trigger=pgtrigger.compiler.Trigger(
                name="insert",
                sql=tenants.models.history.OwnersTriggerSql(
                    func='INSERT INTO "mailboxes_sendingdomainevent" ("tenant_id", "id", "name", "state", "hourly_cap", "created_at", "pgh_created_at", "pgh_label", "pgh_context") SELECT new_values."tenant_id", new_values."id", new_values."name", new_values."state", new_values."hourly_cap", new_values."created_at", NOW(), \'insert\', NULLIF(current_setting(\'pghistory.context_metadata\', true), \'\')::jsonb FROM new_values ; RETURN NULL;',
                    hash="a85d7aff63a33a5d77bb5fede37bc703fcff5d46",
                    level="STATEMENT",
                    operation="INSERT",
                    pgid="pgtrigger_insert_963f6",
                    referencing="REFERENCING NEW TABLE AS new_values ",
                    table="mailboxes_sendingdomain",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="sendingdomain",
            trigger=pgtrigger.compiler.Trigger(
                name="update",
                sql=tenants.models.history.OwnersTriggerSql(
                    func='INSERT INTO "mailboxes_sendingdomainevent" ("tenant_id", "id", "name", "state", "hourly_cap", "created_at", "pgh_created_at", "pgh_label", "pgh_context", "pgh_before") SELECT new_values."tenant_id", new_values."id", new_values."name", new_values."state", new_values."hourly_cap", new_values."created_at", NOW(), \'update\', NULLIF(current_setting(\'pghistory.context_metadata\', true), \'\')::jsonb, CASE WHEN old_values."tenant_id" IS DISTINCT FROM new_values."tenant_id" THEN jsonb_build_object(\'tenant\', old_values."tenant_id") ELSE \'{}\'::jsonb END || CASE WHEN old_values."name" IS DISTINCT FROM new_values."name" THEN jsonb_build_object(\'name\', old_values."name") ELSE \'{}\'::jsonb END || CASE WHEN old_values."state" IS DISTINCT FROM new_values."state" THEN jsonb_build_object(\'state\', old_values."state") ELSE \'{}\'::jsonb END || CASE WHEN old_values."hourly_cap" IS DISTINCT FROM new_values."hourly_cap" THEN jsonb_build_object(\'hourly_cap\', old_values."hourly_cap") ELSE \'{}\'::jsonb END || CASE WHEN old_values."created_at" IS DISTINCT FROM new_values."created_at" THEN jsonb_build_object(\'created_at\', old_values."created_at") ELSE \'{}\'::jsonb END FROM old_values RIGHT JOIN new_values ON (old_values."id") = (new_values."id") WHERE (old_values."created_at" IS DISTINCT FROM (new_values."created_at") OR old_values."hourly_cap" IS DISTINCT FROM (new_values."hourly_cap") OR old_values."name" IS DISTINCT FROM (new_values."name") OR old_values."state" IS DISTINCT FROM (new_values."state") OR old_values."tenant_id" IS DISTINCT FROM (new_values."tenant_id")); RETURN NULL;',
                    hash="d682a8db17586c62ab04c4d3bab3fe7da42778b7",
                    level="STATEMENT",
                    operation="UPDATE",
                    pgid="pgtrigger_update_a4efb",
                    referencing="REFERENCING OLD TABLE AS old_values  NEW TABLE AS new_values ",
                    table="mailboxes_sendingdomain",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="sendingdomain",
            trigger=pgtrigger.compiler.Trigger(
                name="delete",
                sql=tenants.models.history.OwnersTriggerSql(
                    func='INSERT INTO "mailboxes_sendingdomainevent" ("tenant_id", "id", "name", "state", "hourly_cap", "created_at", "pgh_created_at", "pgh_label", "pgh_context") SELECT old_values."tenant_id", old_values."id", old_values."name", old_values."state", old_values."hourly_cap", old_values."created_at", NOW(), \'delete\', NULLIF(current_setting(\'pghistory.context_metadata\', true), \'\')::jsonb FROM old_values ; RETURN NULL;',
                    hash="705a7da2b9b54f256c0cd62cbf3830668e65aed8",
                    level="STATEMENT",
                    operation="DELETE",
                    pgid="pgtrigger_delete_85318",
                    referencing="REFERENCING OLD TABLE AS old_values ",
                    table="mailboxes_sendingdomain",
                    when="AFTER",
                ),
            ),
        ),
        migrations.AddField(
            model_name="mailboxevent",
            name="tenant",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+",
                to="tenants.tenant",
            ),
        ),
        migrations.AddField(
            model_name="poolevent",
            name="tenant",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+",
                to="tenants.tenant",
            ),
        ),
        migrations.AddField(
            model_name="provideraccountevent",
            name="tenant",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+",
                to="tenants.tenant",
            ),
        ),
        migrations.AddField(
            model_name="sendingdomainevent",
            name="tenant",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+",
                to="tenants.tenant",
            ),
        ),
        migrations.AddIndex(
            model_name="mailboxevent",
            index=models.Index(fields=["id", "pgh_id"], name="mailboxevent_row"),
        ),
        migrations.AddIndex(
            model_name="poolevent",
            index=models.Index(fields=["id", "pgh_id"], name="poolevent_row"),
        ),
        migrations.AddIndex(
            model_name="provideraccountevent",
            index=models.Index(fields=["id", "pgh_id"], name="provideraccountevent_row"),
        ),
        migrations.AddIndex(
            model_name="sendingdomainevent",
            index=models.Index(fields=["id", "pgh_id"], name="sendingdomainevent_row"),
        ),
        ProtectTenantRows("MailboxEvent", "PoolEvent", "ProviderAccountEvent", "SendingDomainEvent"),
        AppendOnly("MailboxEvent", "PoolEvent", "ProviderAccountEvent", "SendingDomainEvent"),
    ]
