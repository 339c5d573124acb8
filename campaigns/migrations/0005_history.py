import datetime

import django.contrib.postgres.fields
import django.db.models.deletion
import pghistory.utils
import pgtrigger.compiler
import pgtrigger.migrations
from django.db import migrations, models

import campaigns.models.campaigns
import tenants.models.history
from tenants.models import AppendOnly, ProtectTenantRows


class Migration(migrations.Migration):
    """Events of what is configured: who changed what from where, beneath the audit."""

    dependencies = [
        ("campaigns", "0004_tenant_pages"),
        ("tenants", "0010_history"),
    ]

    operations = [
        migrations.CreateModel(
            name="CampaignEvent",
            fields=[
                ("pgh_created_at", models.DateTimeField(auto_now_add=True)),
                ("pgh_label", models.TextField(help_text="The event label.")),
                ("pgh_id", models.BigAutoField(primary_key=True, serialize=False)),
                ("pgh_before", models.JSONField(null=True)),
                ("pool", models.BigIntegerField(db_column="pool_id", null=True)),
                ("contact_list", models.BigIntegerField(db_column="contact_list_id", null=True)),
                ("pgh_context", pghistory.utils.JSONField(null=True)),
                ("id", models.BigIntegerField()),
                ("name", models.CharField(max_length=200)),
                (
                    "status",
                    models.CharField(
                        choices=[
                            ("draft", "draft"),
                            ("review", "in review"),
                            ("scheduled", "scheduled"),
                            ("running", "running"),
                            ("paused", "paused"),
                            ("halted", "halted"),
                            ("completed", "completed"),
                            ("cancelled", "cancelled"),
                        ],
                        default="draft",
                        max_length=10,
                    ),
                ),
                ("status_reason", models.CharField(blank=True, max_length=500)),
                ("window_from", models.TimeField(default=datetime.time(9, 0))),
                ("window_until", models.TimeField(default=datetime.time(17, 0))),
                (
                    "window_days",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.PositiveSmallIntegerField(),
                        default=campaigns.models.campaigns.all_days,
                        size=None,
                    ),
                ),
                ("window_zone", models.CharField(default="contact", max_length=64)),
                (
                    "pace",
                    models.CharField(
                        choices=[
                            ("even", "even: spread over the window"),
                            ("prompt", "prompt: as fast as the mailboxes' gaps allow"),
                        ],
                        default="even",
                        max_length=8,
                    ),
                ),
                ("batch_size", models.PositiveSmallIntegerField(default=100)),
                ("daily_cap", models.PositiveIntegerField(blank=True, null=True)),
                ("started_at", models.DateTimeField(blank=True, null=True)),
                ("completed_at", models.DateTimeField(blank=True, null=True)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
            ],
            options={
                "ordering": ("-pgh_id",),
                "abstract": False,
                "default_permissions": (),
            },
        ),
        migrations.CreateModel(
            name="ContactListEvent",
            fields=[
                ("pgh_created_at", models.DateTimeField(auto_now_add=True)),
                ("pgh_label", models.TextField(help_text="The event label.")),
                ("pgh_id", models.BigAutoField(primary_key=True, serialize=False)),
                ("pgh_before", models.JSONField(null=True)),
                ("pgh_context", pghistory.utils.JSONField(null=True)),
                ("id", models.BigIntegerField()),
                ("name", models.CharField(max_length=200)),
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
            name="StepEvent",
            fields=[
                ("pgh_created_at", models.DateTimeField(auto_now_add=True)),
                ("pgh_label", models.TextField(help_text="The event label.")),
                ("pgh_id", models.BigAutoField(primary_key=True, serialize=False)),
                ("pgh_before", models.JSONField(null=True)),
                ("campaign", models.BigIntegerField(db_column="campaign_id")),
                ("pgh_context", pghistory.utils.JSONField(null=True)),
                ("id", models.BigIntegerField()),
                ("position", models.PositiveSmallIntegerField(default=1)),
                ("version", models.PositiveSmallIntegerField(default=1)),
                ("delay_hours", models.PositiveIntegerField(default=0, help_text="After the step before.")),
                ("subject", models.CharField(max_length=500)),
                ("text_body", models.TextField()),
                ("html_body", models.TextField(blank=True)),
                ("frozen_at", models.DateTimeField(blank=True, editable=False, null=True)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
            ],
            options={
                "ordering": ("-pgh_id",),
                "abstract": False,
                "default_permissions": (),
            },
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="campaign",
            trigger=pgtrigger.compiler.Trigger(
                name="insert",
                sql=tenants.models.history.OwnersTriggerSql(
                    func='INSERT INTO "campaigns_campaignevent" ("pool_id", "contact_list_id", "tenant_id", "id", "name", "status", "status_reason", "window_from", "window_until", "window_days", "window_zone", "pace", "batch_size", "daily_cap", "started_at", "completed_at", "created_at", "pgh_created_at", "pgh_label", "pgh_context") SELECT new_values."pool_id", new_values."contact_list_id", new_values."tenant_id", new_values."id", new_values."name", new_values."status", new_values."status_reason", new_values."window_from", new_values."window_until", new_values."window_days", new_values."window_zone", new_values."pace", new_values."batch_size", new_values."daily_cap", new_values."started_at", new_values."completed_at", new_values."created_at", NOW(), \'insert\', NULLIF(current_setting(\'pghistory.context_metadata\', true), \'\')::jsonb FROM new_values ; RETURN NULL;',
                    hash="46a443a59029f981d45b954bf058abc1d24d10eb",
                    level="STATEMENT",
                    operation="INSERT",
                    pgid="pgtrigger_insert_bba3e",
                    referencing="REFERENCING NEW TABLE AS new_values ",
                    table="campaigns_campaign",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="campaign",
            trigger=pgtrigger.compiler.Trigger(
                name="update",
                sql=tenants.models.history.OwnersTriggerSql(
                    func='INSERT INTO "campaigns_campaignevent" ("pool_id", "contact_list_id", "tenant_id", "id", "name", "status", "status_reason", "window_from", "window_until", "window_days", "window_zone", "pace", "batch_size", "daily_cap", "started_at", "completed_at", "created_at", "pgh_created_at", "pgh_label", "pgh_context", "pgh_before") SELECT new_values."pool_id", new_values."contact_list_id", new_values."tenant_id", new_values."id", new_values."name", new_values."status", new_values."status_reason", new_values."window_from", new_values."window_until", new_values."window_days", new_values."window_zone", new_values."pace", new_values."batch_size", new_values."daily_cap", new_values."started_at", new_values."completed_at", new_values."created_at", NOW(), \'update\', NULLIF(current_setting(\'pghistory.context_metadata\', true), \'\')::jsonb, CASE WHEN old_values."tenant_id" IS DISTINCT FROM new_values."tenant_id" THEN jsonb_build_object(\'tenant\', old_values."tenant_id") ELSE \'{}\'::jsonb END || CASE WHEN old_values."name" IS DISTINCT FROM new_values."name" THEN jsonb_build_object(\'name\', old_values."name") ELSE \'{}\'::jsonb END || CASE WHEN old_values."pool_id" IS DISTINCT FROM new_values."pool_id" THEN jsonb_build_object(\'pool\', old_values."pool_id") ELSE \'{}\'::jsonb END || CASE WHEN old_values."contact_list_id" IS DISTINCT FROM new_values."contact_list_id" THEN jsonb_build_object(\'contact_list\', old_values."contact_list_id") ELSE \'{}\'::jsonb END || CASE WHEN old_values."status" IS DISTINCT FROM new_values."status" THEN jsonb_build_object(\'status\', old_values."status") ELSE \'{}\'::jsonb END || CASE WHEN old_values."status_reason" IS DISTINCT FROM new_values."status_reason" THEN jsonb_build_object(\'status_reason\', old_values."status_reason") ELSE \'{}\'::jsonb END || CASE WHEN old_values."window_from" IS DISTINCT FROM new_values."window_from" THEN jsonb_build_object(\'window_from\', old_values."window_from") ELSE \'{}\'::jsonb END || CASE WHEN old_values."window_until" IS DISTINCT FROM new_values."window_until" THEN jsonb_build_object(\'window_until\', old_values."window_until") ELSE \'{}\'::jsonb END || CASE WHEN old_values."window_days" IS DISTINCT FROM new_values."window_days" THEN jsonb_build_object(\'window_days\', old_values."window_days") ELSE \'{}\'::jsonb END || CASE WHEN old_values."window_zone" IS DISTINCT FROM new_values."window_zone" THEN jsonb_build_object(\'window_zone\', old_values."window_zone") ELSE \'{}\'::jsonb END || CASE WHEN old_values."pace" IS DISTINCT FROM new_values."pace" THEN jsonb_build_object(\'pace\', old_values."pace") ELSE \'{}\'::jsonb END || CASE WHEN old_values."batch_size" IS DISTINCT FROM new_values."batch_size" THEN jsonb_build_object(\'batch_size\', old_values."batch_size") ELSE \'{}\'::jsonb END || CASE WHEN old_values."daily_cap" IS DISTINCT FROM new_values."daily_cap" THEN jsonb_build_object(\'daily_cap\', old_values."daily_cap") ELSE \'{}\'::jsonb END || CASE WHEN old_values."started_at" IS DISTINCT FROM new_values."started_at" THEN jsonb_build_object(\'started_at\', old_values."started_at") ELSE \'{}\'::jsonb END || CASE WHEN old_values."completed_at" IS DISTINCT FROM new_values."completed_at" THEN jsonb_build_object(\'completed_at\', old_values."completed_at") ELSE \'{}\'::jsonb END || CASE WHEN old_values."created_at" IS DISTINCT FROM new_values."created_at" THEN jsonb_build_object(\'created_at\', old_values."created_at") ELSE \'{}\'::jsonb END FROM old_values RIGHT JOIN new_values ON (old_values."id") = (new_values."id") WHERE (old_values."batch_size" IS DISTINCT FROM (new_values."batch_size") OR old_values."completed_at" IS DISTINCT FROM (new_values."completed_at") OR old_values."contact_list_id" IS DISTINCT FROM (new_values."contact_list_id") OR old_values."created_at" IS DISTINCT FROM (new_values."created_at") OR old_values."daily_cap" IS DISTINCT FROM (new_values."daily_cap") OR old_values."name" IS DISTINCT FROM (new_values."name") OR old_values."pace" IS DISTINCT FROM (new_values."pace") OR old_values."pool_id" IS DISTINCT FROM (new_values."pool_id") OR old_values."started_at" IS DISTINCT FROM (new_values."started_at") OR old_values."status" IS DISTINCT FROM (new_values."status") OR old_values."status_reason" IS DISTINCT FROM (new_values."status_reason") OR old_values."tenant_id" IS DISTINCT FROM (new_values."tenant_id") OR old_values."window_days" IS DISTINCT FROM (new_values."window_days") OR old_values."window_from" IS DISTINCT FROM (new_values."window_from") OR old_values."window_until" IS DISTINCT FROM (new_values."window_until") OR old_values."window_zone" IS DISTINCT FROM (new_values."window_zone")); RETURN NULL;',
                    hash="1ea090c9dae2fcc29588fcba3b701a7bfba4cfdb",
                    level="STATEMENT",
                    operation="UPDATE",
                    pgid="pgtrigger_update_213fe",
                    referencing="REFERENCING OLD TABLE AS old_values  NEW TABLE AS new_values ",
                    table="campaigns_campaign",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="campaign",
            trigger=pgtrigger.compiler.Trigger(
                name="delete",
                sql=tenants.models.history.OwnersTriggerSql(
                    func='INSERT INTO "campaigns_campaignevent" ("pool_id", "contact_list_id", "tenant_id", "id", "name", "status", "status_reason", "window_from", "window_until", "window_days", "window_zone", "pace", "batch_size", "daily_cap", "started_at", "completed_at", "created_at", "pgh_created_at", "pgh_label", "pgh_context") SELECT old_values."pool_id", old_values."contact_list_id", old_values."tenant_id", old_values."id", old_values."name", old_values."status", old_values."status_reason", old_values."window_from", old_values."window_until", old_values."window_days", old_values."window_zone", old_values."pace", old_values."batch_size", old_values."daily_cap", old_values."started_at", old_values."completed_at", old_values."created_at", NOW(), \'delete\', NULLIF(current_setting(\'pghistory.context_metadata\', true), \'\')::jsonb FROM old_values ; RETURN NULL;',
                    hash="ef275a35c4ecae475306d3034a6ca26d60503fe2",
                    level="STATEMENT",
                    operation="DELETE",
                    pgid="pgtrigger_delete_ee20b",
                    referencing="REFERENCING OLD TABLE AS old_values ",
                    table="campaigns_campaign",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="contactlist",
            trigger=pgtrigger.compiler.Trigger(
                name="insert",
                sql=tenants.models.history.OwnersTriggerSql(
                    func='INSERT INTO "campaigns_contactlistevent" ("tenant_id", "id", "name", "archived_at", "created_at", "pgh_created_at", "pgh_label", "pgh_context") SELECT new_values."tenant_id", new_values."id", new_values."name", new_values."archived_at", new_values."created_at", NOW(), \'insert\', NULLIF(current_setting(\'pghistory.context_metadata\', true), \'\')::jsonb FROM new_values ; RETURN NULL;',
                    hash="5f13842878ada03fa87885cd717c80c2033e4559",
                    level="STATEMENT",
                    operation="INSERT",
                    pgid="pgtrigger_insert_988d4",
                    referencing="REFERENCING NEW TABLE AS new_values ",
                    table="campaigns_contactlist",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="contactlist",
            trigger=pgtrigger.compiler.Trigger(
                name="update",
                sql=tenants.models.history.OwnersTriggerSql(
                    func='INSERT INTO "campaigns_contactlistevent" ("tenant_id", "id", "name", "archived_at", "created_at", "pgh_created_at", "pgh_label", "pgh_context", "pgh_before") SELECT new_values."tenant_id", new_values."id", new_values."name", new_values."archived_at", new_values."created_at", NOW(), \'update\', NULLIF(current_setting(\'pghistory.context_metadata\', true), \'\')::jsonb, CASE WHEN old_values."tenant_id" IS DISTINCT FROM new_values."tenant_id" THEN jsonb_build_object(\'tenant\', old_values."tenant_id") ELSE \'{}\'::jsonb END || CASE WHEN old_values."name" IS DISTINCT FROM new_values."name" THEN jsonb_build_object(\'name\', old_values."name") ELSE \'{}\'::jsonb END || CASE WHEN old_values."archived_at" IS DISTINCT FROM new_values."archived_at" THEN jsonb_build_object(\'archived_at\', old_values."archived_at") ELSE \'{}\'::jsonb END || CASE WHEN old_values."created_at" IS DISTINCT FROM new_values."created_at" THEN jsonb_build_object(\'created_at\', old_values."created_at") ELSE \'{}\'::jsonb END FROM old_values RIGHT JOIN new_values ON (old_values."id") = (new_values."id") WHERE (old_values."archived_at" IS DISTINCT FROM (new_values."archived_at") OR old_values."created_at" IS DISTINCT FROM (new_values."created_at") OR old_values."name" IS DISTINCT FROM (new_values."name") OR old_values."tenant_id" IS DISTINCT FROM (new_values."tenant_id")); RETURN NULL;',
                    hash="b1285282bf1ea975578e3dcaf02f293aa80a3738",
                    level="STATEMENT",
                    operation="UPDATE",
                    pgid="pgtrigger_update_fdf2d",
                    referencing="REFERENCING OLD TABLE AS old_values  NEW TABLE AS new_values ",
                    table="campaigns_contactlist",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="contactlist",
            trigger=pgtrigger.compiler.Trigger(
                name="delete",
                sql=tenants.models.history.OwnersTriggerSql(
                    func='INSERT INTO "campaigns_contactlistevent" ("tenant_id", "id", "name", "archived_at", "created_at", "pgh_created_at", "pgh_label", "pgh_context") SELECT old_values."tenant_id", old_values."id", old_values."name", old_values."archived_at", old_values."created_at", NOW(), \'delete\', NULLIF(current_setting(\'pghistory.context_metadata\', true), \'\')::jsonb FROM old_values ; RETURN NULL;',
                    hash="84182b2bd613eabcf79363c5b77aa40b6cf1d69f",
                    level="STATEMENT",
                    operation="DELETE",
                    pgid="pgtrigger_delete_18735",
                    referencing="REFERENCING OLD TABLE AS old_values ",
                    table="campaigns_contactlist",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="step",
            trigger=pgtrigger.compiler.Trigger(
                name="insert",
                sql=tenants.models.history.OwnersTriggerSql(
                    func='INSERT INTO "campaigns_stepevent" ("campaign_id", "tenant_id", "id", "position", "version", "delay_hours", "subject", "text_body", "html_body", "frozen_at", "created_at", "pgh_created_at", "pgh_label", "pgh_context") SELECT new_values."campaign_id", new_values."tenant_id", new_values."id", new_values."position", new_values."version", new_values."delay_hours", new_values."subject", new_values."text_body", new_values."html_body", new_values."frozen_at", new_values."created_at", NOW(), \'insert\', NULLIF(current_setting(\'pghistory.context_metadata\', true), \'\')::jsonb FROM new_values ; RETURN NULL;',
                    hash="486af280ce3257e9dfaa0bed78f0ea9b63e8871e",
                    level="STATEMENT",
                    operation="INSERT",
                    pgid="pgtrigger_insert_0c3b8",
                    referencing="REFERENCING NEW TABLE AS new_values ",
                    table="campaigns_step",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="step",
            trigger=pgtrigger.compiler.Trigger(
                name="update",
                sql=tenants.models.history.OwnersTriggerSql(
                    func='INSERT INTO "campaigns_stepevent" ("campaign_id", "tenant_id", "id", "position", "version", "delay_hours", "subject", "text_body", "html_body", "frozen_at", "created_at", "pgh_created_at", "pgh_label", "pgh_context", "pgh_before") SELECT new_values."campaign_id", new_values."tenant_id", new_values."id", new_values."position", new_values."version", new_values."delay_hours", new_values."subject", new_values."text_body", new_values."html_body", new_values."frozen_at", new_values."created_at", NOW(), \'update\', NULLIF(current_setting(\'pghistory.context_metadata\', true), \'\')::jsonb, CASE WHEN old_values."tenant_id" IS DISTINCT FROM new_values."tenant_id" THEN jsonb_build_object(\'tenant\', old_values."tenant_id") ELSE \'{}\'::jsonb END || CASE WHEN old_values."campaign_id" IS DISTINCT FROM new_values."campaign_id" THEN jsonb_build_object(\'campaign\', old_values."campaign_id") ELSE \'{}\'::jsonb END || CASE WHEN old_values."position" IS DISTINCT FROM new_values."position" THEN jsonb_build_object(\'position\', old_values."position") ELSE \'{}\'::jsonb END || CASE WHEN old_values."version" IS DISTINCT FROM new_values."version" THEN jsonb_build_object(\'version\', old_values."version") ELSE \'{}\'::jsonb END || CASE WHEN old_values."delay_hours" IS DISTINCT FROM new_values."delay_hours" THEN jsonb_build_object(\'delay_hours\', old_values."delay_hours") ELSE \'{}\'::jsonb END || CASE WHEN old_values."subject" IS DISTINCT FROM new_values."subject" THEN jsonb_build_object(\'subject\', old_values."subject") ELSE \'{}\'::jsonb END || CASE WHEN old_values."text_body" IS DISTINCT FROM new_values."text_body" THEN jsonb_build_object(\'text_body\', old_values."text_body") ELSE \'{}\'::jsonb END || CASE WHEN old_values."html_body" IS DISTINCT FROM new_values."html_body" THEN jsonb_build_object(\'html_body\', old_values."html_body") ELSE \'{}\'::jsonb END || CASE WHEN old_values."frozen_at" IS DISTINCT FROM new_values."frozen_at" THEN jsonb_build_object(\'frozen_at\', old_values."frozen_at") ELSE \'{}\'::jsonb END || CASE WHEN old_values."created_at" IS DISTINCT FROM new_values."created_at" THEN jsonb_build_object(\'created_at\', old_values."created_at") ELSE \'{}\'::jsonb END FROM old_values RIGHT JOIN new_values ON (old_values."id") = (new_values."id") WHERE (old_values."campaign_id" IS DISTINCT FROM (new_values."campaign_id") OR old_values."created_at" IS DISTINCT FROM (new_values."created_at") OR old_values."delay_hours" IS DISTINCT FROM (new_values."delay_hours") OR old_values."frozen_at" IS DISTINCT FROM (new_values."frozen_at") OR old_values."html_body" IS DISTINCT FROM (new_values."html_body") OR old_values."position" IS DISTINCT FROM (new_values."position") OR old_values."subject" IS DISTINCT FROM (new_values."subject") OR old_values."tenant_id" IS DISTINCT FROM (new_values."tenant_id") OR old_values."text_body" IS DISTINCT FROM (new_values."text_body") OR old_values."version" IS DISTINCT FROM (new_values."version")); RETURN NULL;',
                    hash="6077ac7101c239dba172fef194276ad847345e7c",
                    level="STATEMENT",
                    operation="UPDATE",
                    pgid="pgtrigger_update_add8c",
                    referencing="REFERENCING OLD TABLE AS old_values  NEW TABLE AS new_values ",
                    table="campaigns_step",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="step",
            trigger=pgtrigger.compiler.Trigger(
                name="delete",
                sql=tenants.models.history.OwnersTriggerSql(
                    func='INSERT INTO "campaigns_stepevent" ("campaign_id", "tenant_id", "id", "position", "version", "delay_hours", "subject", "text_body", "html_body", "frozen_at", "created_at", "pgh_created_at", "pgh_label", "pgh_context") SELECT old_values."campaign_id", old_values."tenant_id", old_values."id", old_values."position", old_values."version", old_values."delay_hours", old_values."subject", old_values."text_body", old_values."html_body", old_values."frozen_at", old_values."created_at", NOW(), \'delete\', NULLIF(current_setting(\'pghistory.context_metadata\', true), \'\')::jsonb FROM old_values ; RETURN NULL;',
                    hash="e84c58e62ea8e4c41767fbf4d71443dc7f80d5a9",
                    level="STATEMENT",
                    operation="DELETE",
                    pgid="pgtrigger_delete_0e6ab",
                    referencing="REFERENCING OLD TABLE AS old_values ",
                    table="campaigns_step",
                    when="AFTER",
                ),
            ),
        ),
        migrations.AddField(
            model_name="campaignevent",
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
            model_name="contactlistevent",
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
            model_name="stepevent",
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
            model_name="campaignevent",
            index=models.Index(fields=["id", "pgh_id"], name="campaignevent_row"),
        ),
        migrations.AddIndex(
            model_name="contactlistevent",
            index=models.Index(fields=["id", "pgh_id"], name="contactlistevent_row"),
        ),
        migrations.AddIndex(
            model_name="stepevent",
            index=models.Index(fields=["id", "pgh_id"], name="stepevent_row"),
        ),
        ProtectTenantRows("CampaignEvent", "ContactListEvent", "StepEvent"),
        AppendOnly("CampaignEvent", "ContactListEvent", "StepEvent"),
    ]
