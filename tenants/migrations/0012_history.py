import django.contrib.postgres.fields
import django.core.validators
import django.db.models.deletion
import django.utils.timezone
import pghistory.utils
import pgtrigger.compiler
import pgtrigger.migrations
from django.db import migrations, models

import tenants.models.history
from tenants.models import AppendOnly, ProtectTenantRows


class Migration(migrations.Migration):
    """Events of what is configured: who changed what from where, beneath the audit."""

    dependencies = [
        ("tenants", "0008_audit"),
        ("pghistory", "0007_auto_20250421_0444"),
    ]

    operations = [
        migrations.CreateModel(
            name="ApiKeyEvent",
            fields=[
                ("pgh_created_at", models.DateTimeField(auto_now_add=True)),
                ("pgh_label", models.TextField(help_text="The event label.")),
                ("pgh_id", models.BigAutoField(primary_key=True, serialize=False)),
                ("pgh_before", models.JSONField(null=True)),
                ("created_by", models.BigIntegerField(db_column="created_by_id", null=True)),
                ("pgh_context", pghistory.utils.JSONField(null=True)),
                ("id", models.BigIntegerField()),
                ("name", models.CharField(max_length=100)),
                ("prefix", models.CharField(editable=False, max_length=12)),
                (
                    "scopes",
                    django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=40), size=None),
                ),
                (
                    "ranges",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(max_length=43), blank=True, default=list, size=None
                    ),
                ),
                ("expires_at", models.DateTimeField(blank=True, null=True)),
                ("revoked_at", models.DateTimeField(blank=True, null=True)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
            ],
            options={
                "ordering": ("-pgh_id",),
                "abstract": False,
                "default_permissions": (),
            },
        ),
        migrations.CreateModel(
            name="BreakGlassEvent",
            fields=[
                ("pgh_created_at", models.DateTimeField(auto_now_add=True)),
                ("pgh_label", models.TextField(help_text="The event label.")),
                ("pgh_id", models.BigAutoField(primary_key=True, serialize=False)),
                ("pgh_before", models.JSONField(null=True)),
                ("user", models.BigIntegerField(db_column="user_id")),
                ("pgh_context", pghistory.utils.JSONField(null=True)),
                ("id", models.BigIntegerField()),
                ("reason", models.CharField(max_length=500)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("until", models.DateTimeField()),
                ("ended_at", models.DateTimeField(blank=True, null=True)),
            ],
            options={
                "ordering": ("-pgh_id",),
                "abstract": False,
                "default_permissions": (),
            },
        ),
        migrations.CreateModel(
            name="ChecklistEntryEvent",
            fields=[
                ("pgh_created_at", models.DateTimeField(auto_now_add=True)),
                ("pgh_label", models.TextField(help_text="The event label.")),
                ("pgh_id", models.BigAutoField(primary_key=True, serialize=False)),
                ("pgh_before", models.JSONField(null=True)),
                ("owner", models.BigIntegerField(db_column="owner_id", null=True)),
                ("pgh_context", pghistory.utils.JSONField(null=True)),
                ("id", models.BigIntegerField()),
                ("key", models.CharField(max_length=40)),
                (
                    "state",
                    models.CharField(
                        choices=[("open", "open"), ("done", "done"), ("not_needed", "not needed")],
                        default="open",
                        max_length=12,
                    ),
                ),
                ("due_on", models.DateField(blank=True, null=True)),
                ("done_on", models.DateField(blank=True, null=True)),
                ("note", models.CharField(blank=True, max_length=500)),
            ],
            options={
                "ordering": ("-pgh_id",),
                "abstract": False,
                "default_permissions": (),
            },
        ),
        migrations.CreateModel(
            name="InvitationEvent",
            fields=[
                ("pgh_created_at", models.DateTimeField(auto_now_add=True)),
                ("pgh_label", models.TextField(help_text="The event label.")),
                ("pgh_id", models.BigAutoField(primary_key=True, serialize=False)),
                ("pgh_before", models.JSONField(null=True)),
                ("invited_by", models.BigIntegerField(db_column="invited_by_id", null=True)),
                ("accepted_by", models.BigIntegerField(db_column="accepted_by_id", null=True)),
                ("pgh_context", pghistory.utils.JSONField(null=True)),
                ("id", models.BigIntegerField()),
                ("email", models.EmailField(max_length=254, verbose_name="email address")),
                (
                    "role",
                    models.CharField(
                        choices=[
                            ("platform_admin", "platform admin"),
                            ("ops_manager", "ops manager"),
                            ("operator", "operator"),
                            ("analyst", "analyst"),
                            ("auditor", "auditor"),
                            ("client_viewer", "client viewer"),
                        ],
                        max_length=20,
                    ),
                ),
                ("membership_expires_at", models.DateTimeField(blank=True, null=True)),
                ("expires_at", models.DateTimeField()),
                ("accepted_at", models.DateTimeField(blank=True, null=True)),
                ("revoked_at", models.DateTimeField(blank=True, null=True)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
            ],
            options={
                "ordering": ("-pgh_id",),
                "abstract": False,
                "default_permissions": (),
            },
        ),
        migrations.CreateModel(
            name="MembershipEvent",
            fields=[
                ("pgh_created_at", models.DateTimeField(auto_now_add=True)),
                ("pgh_label", models.TextField(help_text="The event label.")),
                ("pgh_id", models.BigAutoField(primary_key=True, serialize=False)),
                ("pgh_before", models.JSONField(null=True)),
                ("user", models.BigIntegerField(db_column="user_id")),
                ("pgh_context", pghistory.utils.JSONField(null=True)),
                ("id", models.BigIntegerField()),
                (
                    "role",
                    models.CharField(
                        choices=[
                            ("platform_admin", "platform admin"),
                            ("ops_manager", "ops manager"),
                            ("operator", "operator"),
                            ("analyst", "analyst"),
                            ("auditor", "auditor"),
                            ("client_viewer", "client viewer"),
                        ],
                        max_length=20,
                    ),
                ),
                ("expires_at", models.DateTimeField(blank=True, null=True)),
                ("ended_at", models.DateTimeField(blank=True, null=True)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
            ],
            options={
                "ordering": ("-pgh_id",),
                "abstract": False,
                "default_permissions": (),
            },
        ),
        migrations.CreateModel(
            name="TenantEvent",
            fields=[
                ("pgh_created_at", models.DateTimeField(auto_now_add=True)),
                ("pgh_label", models.TextField(help_text="The event label.")),
                ("pgh_id", models.BigAutoField(primary_key=True, serialize=False)),
                ("pgh_before", models.JSONField(null=True)),
                ("pgh_context", pghistory.utils.JSONField(null=True)),
                ("id", models.BigIntegerField()),
                (
                    "slug",
                    models.CharField(
                        help_text="Lower-case letters, digits and hyphens; names the tenant in commands and headers.",
                        max_length=40,
                        validators=[django.core.validators.RegexValidator("^[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?\\Z")],
                    ),
                ),
                ("name", models.CharField(max_length=200)),
                (
                    "status",
                    models.CharField(
                        choices=[("active", "active"), ("suspended", "suspended"), ("closed", "closed")],
                        default="active",
                        max_length=10,
                    ),
                ),
                (
                    "time_zone",
                    models.CharField(default="UTC", help_text="IANA name; a day of caps is a day here.", max_length=64),
                ),
                (
                    "postal_address",
                    models.TextField(blank=True, help_text="Stands in every message; no campaign starts without it."),
                ),
                (
                    "daily_cap",
                    models.PositiveIntegerField(blank=True, help_text="Messages a day over all campaigns.", null=True),
                ),
                ("created_at", models.DateTimeField(auto_now_add=True)),
            ],
            options={
                "ordering": ("-pgh_id",),
                "abstract": False,
                "default_permissions": (),
            },
        ),
        migrations.CreateModel(
            name="TenantRecordEvent",
            fields=[
                ("pgh_created_at", models.DateTimeField(auto_now_add=True)),
                ("pgh_label", models.TextField(help_text="The event label.")),
                ("pgh_id", models.BigAutoField(primary_key=True, serialize=False)),
                ("pgh_before", models.JSONField(null=True)),
                ("pgh_context", pghistory.utils.JSONField(null=True)),
                ("id", models.BigIntegerField()),
                ("legal_name", models.CharField(blank=True, max_length=200)),
                ("register_number", models.CharField(blank=True, max_length=100)),
                (
                    "country",
                    models.CharField(
                        blank=True,
                        max_length=2,
                        validators=[
                            django.core.validators.RegexValidator(
                                "^[A-Z]{2}\\Z", "Two capital letters of ISO 3166-1, as in UA."
                            )
                        ],
                    ),
                ),
                (
                    "privacy_url",
                    models.CharField(
                        blank=True,
                        max_length=300,
                        validators=[
                            django.core.validators.URLValidator(
                                message="An address that begins with https://.", schemes=["https"]
                            )
                        ],
                        verbose_name="privacy notice",
                    ),
                ),
                ("owner_name", models.CharField(blank=True, max_length=200)),
                ("owner_email", models.EmailField(blank=True, max_length=254)),
                ("billing_name", models.CharField(blank=True, max_length=200)),
                ("billing_email", models.EmailField(blank=True, max_length=254)),
                ("abuse_name", models.CharField(blank=True, max_length=200)),
                ("abuse_email", models.EmailField(blank=True, max_length=254)),
                ("data_protection_name", models.CharField(blank=True, max_length=200)),
                ("data_protection_email", models.EmailField(blank=True, max_length=254)),
                ("contract_signed_on", models.DateField(blank=True, null=True)),
                (
                    "contract_ends_on",
                    models.DateField(blank=True, help_text="Empty: until somebody ends it.", null=True),
                ),
                (
                    "dpa_signed_on",
                    models.DateField(blank=True, null=True, verbose_name="data processing agreement signed on"),
                ),
                (
                    "authority_letter_on",
                    models.DateField(
                        blank=True,
                        help_text="By which we may send from its domains.",
                        null=True,
                        verbose_name="letter of authority dated",
                    ),
                ),
                (
                    "allowed_countries",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(
                            max_length=2,
                            validators=[
                                django.core.validators.RegexValidator(
                                    "^[A-Z]{2}\\Z", "Two capital letters of ISO 3166-1, as in UA."
                                )
                            ],
                        ),
                        blank=True,
                        default=list,
                        help_text="ISO 3166-1 alpha-2, of the people it may write to.",
                        size=None,
                    ),
                ),
                (
                    "allowed_bases",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(
                            choices=[
                                ("consent", "consent"),
                                ("existing_customer", "existing customer"),
                                ("legitimate_interest", "legitimate interest"),
                                ("implied_consent", "implied consent"),
                                ("opt_out", "opt out"),
                            ],
                            max_length=24,
                        ),
                        blank=True,
                        default=list,
                        help_text="Lawful bases that its contacts may have.",
                        size=None,
                    ),
                ),
                (
                    "contracted_volume",
                    models.PositiveIntegerField(blank=True, help_text="Messages a month.", null=True),
                ),
            ],
            options={
                "ordering": ("-pgh_id",),
                "abstract": False,
                "default_permissions": (),
            },
        ),
        migrations.CreateModel(
            name="UserEvent",
            fields=[
                ("pgh_created_at", models.DateTimeField(auto_now_add=True)),
                ("pgh_label", models.TextField(help_text="The event label.")),
                ("pgh_id", models.BigAutoField(primary_key=True, serialize=False)),
                ("pgh_before", models.JSONField(null=True)),
                ("pgh_context", pghistory.utils.JSONField(null=True)),
                ("id", models.BigIntegerField()),
                (
                    "is_superuser",
                    models.BooleanField(
                        default=False,
                        help_text="Designates that this user has all permissions without explicitly assigning them.",
                        verbose_name="superuser status",
                    ),
                ),
                ("first_name", models.CharField(blank=True, max_length=150, verbose_name="first name")),
                ("last_name", models.CharField(blank=True, max_length=150, verbose_name="last name")),
                (
                    "is_staff",
                    models.BooleanField(
                        default=False,
                        help_text="Designates whether the user can log into this admin site.",
                        verbose_name="staff status",
                    ),
                ),
                (
                    "is_active",
                    models.BooleanField(
                        default=True,
                        help_text="Designates whether this user should be treated as active. Unselect this instead of deleting accounts.",
                        verbose_name="active",
                    ),
                ),
                ("date_joined", models.DateTimeField(default=django.utils.timezone.now, verbose_name="date joined")),
                ("email", models.EmailField(max_length=254, verbose_name="email address")),
            ],
            options={
                "ordering": ("-pgh_id",),
                "abstract": False,
                "default_permissions": (),
            },
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="apikey",
            trigger=pgtrigger.compiler.Trigger(
                name="insert",
                sql=tenants.models.history.OwnersTriggerSql(
                    func='INSERT INTO "tenants_apikeyevent" ("created_by_id", "tenant_id", "id", "name", "prefix", "scopes", "ranges", "expires_at", "revoked_at", "created_at", "pgh_created_at", "pgh_label", "pgh_context") SELECT new_values."created_by_id", new_values."tenant_id", new_values."id", new_values."name", new_values."prefix", new_values."scopes", new_values."ranges", new_values."expires_at", new_values."revoked_at", new_values."created_at", NOW(), \'insert\', NULLIF(current_setting(\'pghistory.context_metadata\', true), \'\')::jsonb FROM new_values ; RETURN NULL;',
                    hash="98b5f518684612fe99f209c8bd5c4b37a607e985",
                    level="STATEMENT",
                    operation="INSERT",
                    pgid="pgtrigger_insert_f6908",
                    referencing="REFERENCING NEW TABLE AS new_values ",
                    table="tenants_apikey",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="apikey",
            trigger=pgtrigger.compiler.Trigger(
                name="update",
                sql=tenants.models.history.OwnersTriggerSql(
                    func='INSERT INTO "tenants_apikeyevent" ("created_by_id", "tenant_id", "id", "name", "prefix", "scopes", "ranges", "expires_at", "revoked_at", "created_at", "pgh_created_at", "pgh_label", "pgh_context", "pgh_before") SELECT new_values."created_by_id", new_values."tenant_id", new_values."id", new_values."name", new_values."prefix", new_values."scopes", new_values."ranges", new_values."expires_at", new_values."revoked_at", new_values."created_at", NOW(), \'update\', NULLIF(current_setting(\'pghistory.context_metadata\', true), \'\')::jsonb, CASE WHEN old_values."tenant_id" IS DISTINCT FROM new_values."tenant_id" THEN jsonb_build_object(\'tenant\', old_values."tenant_id") ELSE \'{}\'::jsonb END || CASE WHEN old_values."name" IS DISTINCT FROM new_values."name" THEN jsonb_build_object(\'name\', old_values."name") ELSE \'{}\'::jsonb END || CASE WHEN old_values."prefix" IS DISTINCT FROM new_values."prefix" THEN jsonb_build_object(\'prefix\', old_values."prefix") ELSE \'{}\'::jsonb END || CASE WHEN old_values."key_hash" IS DISTINCT FROM new_values."key_hash" THEN jsonb_build_object(\'key_hash\', NULL) ELSE \'{}\'::jsonb END || CASE WHEN old_values."scopes" IS DISTINCT FROM new_values."scopes" THEN jsonb_build_object(\'scopes\', old_values."scopes") ELSE \'{}\'::jsonb END || CASE WHEN old_values."ranges" IS DISTINCT FROM new_values."ranges" THEN jsonb_build_object(\'ranges\', old_values."ranges") ELSE \'{}\'::jsonb END || CASE WHEN old_values."expires_at" IS DISTINCT FROM new_values."expires_at" THEN jsonb_build_object(\'expires_at\', old_values."expires_at") ELSE \'{}\'::jsonb END || CASE WHEN old_values."revoked_at" IS DISTINCT FROM new_values."revoked_at" THEN jsonb_build_object(\'revoked_at\', old_values."revoked_at") ELSE \'{}\'::jsonb END || CASE WHEN old_values."created_by_id" IS DISTINCT FROM new_values."created_by_id" THEN jsonb_build_object(\'created_by\', old_values."created_by_id") ELSE \'{}\'::jsonb END || CASE WHEN old_values."created_at" IS DISTINCT FROM new_values."created_at" THEN jsonb_build_object(\'created_at\', old_values."created_at") ELSE \'{}\'::jsonb END FROM old_values RIGHT JOIN new_values ON (old_values."id") = (new_values."id") WHERE (old_values."created_at" IS DISTINCT FROM (new_values."created_at") OR old_values."created_by_id" IS DISTINCT FROM (new_values."created_by_id") OR old_values."expires_at" IS DISTINCT FROM (new_values."expires_at") OR old_values."key_hash" IS DISTINCT FROM (new_values."key_hash") OR old_values."name" IS DISTINCT FROM (new_values."name") OR old_values."prefix" IS DISTINCT FROM (new_values."prefix") OR old_values."ranges" IS DISTINCT FROM (new_values."ranges") OR old_values."revoked_at" IS DISTINCT FROM (new_values."revoked_at") OR old_values."scopes" IS DISTINCT FROM (new_values."scopes") OR old_values."tenant_id" IS DISTINCT FROM (new_values."tenant_id")); RETURN NULL;',
                    hash="381c740e1e9565ce39c8109a9e631ca13e99c1e8",
                    level="STATEMENT",
                    operation="UPDATE",
                    pgid="pgtrigger_update_f730c",
                    referencing="REFERENCING OLD TABLE AS old_values  NEW TABLE AS new_values ",
                    table="tenants_apikey",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="apikey",
            trigger=pgtrigger.compiler.Trigger(
                name="delete",
                sql=tenants.models.history.OwnersTriggerSql(
                    func='INSERT INTO "tenants_apikeyevent" ("created_by_id", "tenant_id", "id", "name", "prefix", "scopes", "ranges", "expires_at", "revoked_at", "created_at", "pgh_created_at", "pgh_label", "pgh_context") SELECT old_values."created_by_id", old_values."tenant_id", old_values."id", old_values."name", old_values."prefix", old_values."scopes", old_values."ranges", old_values."expires_at", old_values."revoked_at", old_values."created_at", NOW(), \'delete\', NULLIF(current_setting(\'pghistory.context_metadata\', true), \'\')::jsonb FROM old_values ; RETURN NULL;',
                    hash="23cf1684f56602fb6791f076847767bee3ca6847",
                    level="STATEMENT",
                    operation="DELETE",
                    pgid="pgtrigger_delete_1d00c",
                    referencing="REFERENCING OLD TABLE AS old_values ",
                    table="tenants_apikey",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="breakglass",
            trigger=pgtrigger.compiler.Trigger(
                name="insert",
                sql=tenants.models.history.OwnersTriggerSql(
                    func='INSERT INTO "tenants_breakglassevent" ("user_id", "tenant_id", "id", "reason", "created_at", "until", "ended_at", "pgh_created_at", "pgh_label", "pgh_context") SELECT new_values."user_id", new_values."tenant_id", new_values."id", new_values."reason", new_values."created_at", new_values."until", new_values."ended_at", NOW(), \'insert\', NULLIF(current_setting(\'pghistory.context_metadata\', true), \'\')::jsonb FROM new_values ; RETURN NULL;',
                    hash="1698093be3135088ba0cdcc337d40eb87db31e8f",
                    level="STATEMENT",
                    operation="INSERT",
                    pgid="pgtrigger_insert_912f0",
                    referencing="REFERENCING NEW TABLE AS new_values ",
                    table="tenants_breakglass",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="breakglass",
            trigger=pgtrigger.compiler.Trigger(
                name="update",
                sql=tenants.models.history.OwnersTriggerSql(
                    func='INSERT INTO "tenants_breakglassevent" ("user_id", "tenant_id", "id", "reason", "created_at", "until", "ended_at", "pgh_created_at", "pgh_label", "pgh_context", "pgh_before") SELECT new_values."user_id", new_values."tenant_id", new_values."id", new_values."reason", new_values."created_at", new_values."until", new_values."ended_at", NOW(), \'update\', NULLIF(current_setting(\'pghistory.context_metadata\', true), \'\')::jsonb, CASE WHEN old_values."tenant_id" IS DISTINCT FROM new_values."tenant_id" THEN jsonb_build_object(\'tenant\', old_values."tenant_id") ELSE \'{}\'::jsonb END || CASE WHEN old_values."user_id" IS DISTINCT FROM new_values."user_id" THEN jsonb_build_object(\'user\', old_values."user_id") ELSE \'{}\'::jsonb END || CASE WHEN old_values."reason" IS DISTINCT FROM new_values."reason" THEN jsonb_build_object(\'reason\', old_values."reason") ELSE \'{}\'::jsonb END || CASE WHEN old_values."created_at" IS DISTINCT FROM new_values."created_at" THEN jsonb_build_object(\'created_at\', old_values."created_at") ELSE \'{}\'::jsonb END || CASE WHEN old_values."until" IS DISTINCT FROM new_values."until" THEN jsonb_build_object(\'until\', old_values."until") ELSE \'{}\'::jsonb END || CASE WHEN old_values."ended_at" IS DISTINCT FROM new_values."ended_at" THEN jsonb_build_object(\'ended_at\', old_values."ended_at") ELSE \'{}\'::jsonb END FROM old_values RIGHT JOIN new_values ON (old_values."id") = (new_values."id") WHERE (old_values."created_at" IS DISTINCT FROM (new_values."created_at") OR old_values."ended_at" IS DISTINCT FROM (new_values."ended_at") OR old_values."reason" IS DISTINCT FROM (new_values."reason") OR old_values."tenant_id" IS DISTINCT FROM (new_values."tenant_id") OR old_values."until" IS DISTINCT FROM (new_values."until") OR old_values."user_id" IS DISTINCT FROM (new_values."user_id")); RETURN NULL;',
                    hash="b81b7ef8dd0a5871992ae6a27b33ee4585cdff1a",
                    level="STATEMENT",
                    operation="UPDATE",
                    pgid="pgtrigger_update_5d8ef",
                    referencing="REFERENCING OLD TABLE AS old_values  NEW TABLE AS new_values ",
                    table="tenants_breakglass",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="breakglass",
            trigger=pgtrigger.compiler.Trigger(
                name="delete",
                sql=tenants.models.history.OwnersTriggerSql(
                    func='INSERT INTO "tenants_breakglassevent" ("user_id", "tenant_id", "id", "reason", "created_at", "until", "ended_at", "pgh_created_at", "pgh_label", "pgh_context") SELECT old_values."user_id", old_values."tenant_id", old_values."id", old_values."reason", old_values."created_at", old_values."until", old_values."ended_at", NOW(), \'delete\', NULLIF(current_setting(\'pghistory.context_metadata\', true), \'\')::jsonb FROM old_values ; RETURN NULL;',
                    hash="cecece9ec02c38d44bfb65f629141f459d14f828",
                    level="STATEMENT",
                    operation="DELETE",
                    pgid="pgtrigger_delete_4d6fe",
                    referencing="REFERENCING OLD TABLE AS old_values ",
                    table="tenants_breakglass",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="checklistentry",
            trigger=pgtrigger.compiler.Trigger(
                name="insert",
                sql=tenants.models.history.OwnersTriggerSql(
                    func='INSERT INTO "tenants_checklistentryevent" ("owner_id", "tenant_id", "id", "key", "state", "due_on", "done_on", "note", "pgh_created_at", "pgh_label", "pgh_context") SELECT new_values."owner_id", new_values."tenant_id", new_values."id", new_values."key", new_values."state", new_values."due_on", new_values."done_on", new_values."note", NOW(), \'insert\', NULLIF(current_setting(\'pghistory.context_metadata\', true), \'\')::jsonb FROM new_values ; RETURN NULL;',
                    hash="48843a36af11d4b8e7cdbf30e3883acdea013b49",
                    level="STATEMENT",
                    operation="INSERT",
                    pgid="pgtrigger_insert_c71d7",
                    referencing="REFERENCING NEW TABLE AS new_values ",
                    table="tenants_checklistentry",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="checklistentry",
            trigger=pgtrigger.compiler.Trigger(
                name="update",
                sql=tenants.models.history.OwnersTriggerSql(
                    func='INSERT INTO "tenants_checklistentryevent" ("owner_id", "tenant_id", "id", "key", "state", "due_on", "done_on", "note", "pgh_created_at", "pgh_label", "pgh_context", "pgh_before") SELECT new_values."owner_id", new_values."tenant_id", new_values."id", new_values."key", new_values."state", new_values."due_on", new_values."done_on", new_values."note", NOW(), \'update\', NULLIF(current_setting(\'pghistory.context_metadata\', true), \'\')::jsonb, CASE WHEN old_values."tenant_id" IS DISTINCT FROM new_values."tenant_id" THEN jsonb_build_object(\'tenant\', old_values."tenant_id") ELSE \'{}\'::jsonb END || CASE WHEN old_values."key" IS DISTINCT FROM new_values."key" THEN jsonb_build_object(\'key\', old_values."key") ELSE \'{}\'::jsonb END || CASE WHEN old_values."state" IS DISTINCT FROM new_values."state" THEN jsonb_build_object(\'state\', old_values."state") ELSE \'{}\'::jsonb END || CASE WHEN old_values."owner_id" IS DISTINCT FROM new_values."owner_id" THEN jsonb_build_object(\'owner\', old_values."owner_id") ELSE \'{}\'::jsonb END || CASE WHEN old_values."due_on" IS DISTINCT FROM new_values."due_on" THEN jsonb_build_object(\'due_on\', old_values."due_on") ELSE \'{}\'::jsonb END || CASE WHEN old_values."done_on" IS DISTINCT FROM new_values."done_on" THEN jsonb_build_object(\'done_on\', old_values."done_on") ELSE \'{}\'::jsonb END || CASE WHEN old_values."note" IS DISTINCT FROM new_values."note" THEN jsonb_build_object(\'note\', old_values."note") ELSE \'{}\'::jsonb END FROM old_values RIGHT JOIN new_values ON (old_values."id") = (new_values."id") WHERE (old_values."done_on" IS DISTINCT FROM (new_values."done_on") OR old_values."due_on" IS DISTINCT FROM (new_values."due_on") OR old_values."key" IS DISTINCT FROM (new_values."key") OR old_values."note" IS DISTINCT FROM (new_values."note") OR old_values."owner_id" IS DISTINCT FROM (new_values."owner_id") OR old_values."state" IS DISTINCT FROM (new_values."state") OR old_values."tenant_id" IS DISTINCT FROM (new_values."tenant_id")); RETURN NULL;',
                    hash="925abb500fd2840ffe5de47f06a111f1781bb825",
                    level="STATEMENT",
                    operation="UPDATE",
                    pgid="pgtrigger_update_7194a",
                    referencing="REFERENCING OLD TABLE AS old_values  NEW TABLE AS new_values ",
                    table="tenants_checklistentry",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="checklistentry",
            trigger=pgtrigger.compiler.Trigger(
                name="delete",
                sql=tenants.models.history.OwnersTriggerSql(
                    func='INSERT INTO "tenants_checklistentryevent" ("owner_id", "tenant_id", "id", "key", "state", "due_on", "done_on", "note", "pgh_created_at", "pgh_label", "pgh_context") SELECT old_values."owner_id", old_values."tenant_id", old_values."id", old_values."key", old_values."state", old_values."due_on", old_values."done_on", old_values."note", NOW(), \'delete\', NULLIF(current_setting(\'pghistory.context_metadata\', true), \'\')::jsonb FROM old_values ; RETURN NULL;',
                    hash="239ccab74730481ae9ca0cbf90dd871ffe207c22",
                    level="STATEMENT",
                    operation="DELETE",
                    pgid="pgtrigger_delete_50e05",
                    referencing="REFERENCING OLD TABLE AS old_values ",
                    table="tenants_checklistentry",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="invitation",
            trigger=pgtrigger.compiler.Trigger(
                name="insert",
                sql=tenants.models.history.OwnersTriggerSql(
                    func='INSERT INTO "tenants_invitationevent" ("invited_by_id", "accepted_by_id", "tenant_id", "id", "email", "role", "membership_expires_at", "expires_at", "accepted_at", "revoked_at", "created_at", "pgh_created_at", "pgh_label", "pgh_context") SELECT new_values."invited_by_id", new_values."accepted_by_id", new_values."tenant_id", new_values."id", new_values."email", new_values."role", new_values."membership_expires_at", new_values."expires_at", new_values."accepted_at", new_values."revoked_at", new_values."created_at", NOW(), \'insert\', NULLIF(current_setting(\'pghistory.context_metadata\', true), \'\')::jsonb FROM new_values ; RETURN NULL;',
                    hash="e6c838e2b3e4995981e661bdb24b99c1192a3f88",
                    level="STATEMENT",
                    operation="INSERT",
                    pgid="pgtrigger_insert_c59fe",
                    referencing="REFERENCING NEW TABLE AS new_values ",
                    table="tenants_invitation",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="invitation",
            trigger=pgtrigger.compiler.Trigger(
                name="update",
                sql=tenants.models.history.OwnersTriggerSql(
                    func='INSERT INTO "tenants_invitationevent" ("invited_by_id", "accepted_by_id", "tenant_id", "id", "email", "role", "membership_expires_at", "expires_at", "accepted_at", "revoked_at", "created_at", "pgh_created_at", "pgh_label", "pgh_context", "pgh_before") SELECT new_values."invited_by_id", new_values."accepted_by_id", new_values."tenant_id", new_values."id", new_values."email", new_values."role", new_values."membership_expires_at", new_values."expires_at", new_values."accepted_at", new_values."revoked_at", new_values."created_at", NOW(), \'update\', NULLIF(current_setting(\'pghistory.context_metadata\', true), \'\')::jsonb, CASE WHEN old_values."tenant_id" IS DISTINCT FROM new_values."tenant_id" THEN jsonb_build_object(\'tenant\', old_values."tenant_id") ELSE \'{}\'::jsonb END || CASE WHEN old_values."email" IS DISTINCT FROM new_values."email" THEN jsonb_build_object(\'email\', old_values."email") ELSE \'{}\'::jsonb END || CASE WHEN old_values."role" IS DISTINCT FROM new_values."role" THEN jsonb_build_object(\'role\', old_values."role") ELSE \'{}\'::jsonb END || CASE WHEN old_values."membership_expires_at" IS DISTINCT FROM new_values."membership_expires_at" THEN jsonb_build_object(\'membership_expires_at\', old_values."membership_expires_at") ELSE \'{}\'::jsonb END || CASE WHEN old_values."token_hash" IS DISTINCT FROM new_values."token_hash" THEN jsonb_build_object(\'token_hash\', NULL) ELSE \'{}\'::jsonb END || CASE WHEN old_values."invited_by_id" IS DISTINCT FROM new_values."invited_by_id" THEN jsonb_build_object(\'invited_by\', old_values."invited_by_id") ELSE \'{}\'::jsonb END || CASE WHEN old_values."expires_at" IS DISTINCT FROM new_values."expires_at" THEN jsonb_build_object(\'expires_at\', old_values."expires_at") ELSE \'{}\'::jsonb END || CASE WHEN old_values."accepted_at" IS DISTINCT FROM new_values."accepted_at" THEN jsonb_build_object(\'accepted_at\', old_values."accepted_at") ELSE \'{}\'::jsonb END || CASE WHEN old_values."accepted_by_id" IS DISTINCT FROM new_values."accepted_by_id" THEN jsonb_build_object(\'accepted_by\', old_values."accepted_by_id") ELSE \'{}\'::jsonb END || CASE WHEN old_values."revoked_at" IS DISTINCT FROM new_values."revoked_at" THEN jsonb_build_object(\'revoked_at\', old_values."revoked_at") ELSE \'{}\'::jsonb END || CASE WHEN old_values."created_at" IS DISTINCT FROM new_values."created_at" THEN jsonb_build_object(\'created_at\', old_values."created_at") ELSE \'{}\'::jsonb END FROM old_values RIGHT JOIN new_values ON (old_values."id") = (new_values."id") WHERE (old_values."accepted_at" IS DISTINCT FROM (new_values."accepted_at") OR old_values."accepted_by_id" IS DISTINCT FROM (new_values."accepted_by_id") OR old_values."created_at" IS DISTINCT FROM (new_values."created_at") OR old_values."email" IS DISTINCT FROM (new_values."email") OR old_values."expires_at" IS DISTINCT FROM (new_values."expires_at") OR old_values."invited_by_id" IS DISTINCT FROM (new_values."invited_by_id") OR old_values."membership_expires_at" IS DISTINCT FROM (new_values."membership_expires_at") OR old_values."revoked_at" IS DISTINCT FROM (new_values."revoked_at") OR old_values."role" IS DISTINCT FROM (new_values."role") OR old_values."tenant_id" IS DISTINCT FROM (new_values."tenant_id") OR old_values."token_hash" IS DISTINCT FROM (new_values."token_hash")); RETURN NULL;',
                    hash="c0810ff2c7782d057e08733b039dff25cf6e4ce0",
                    level="STATEMENT",
                    operation="UPDATE",
                    pgid="pgtrigger_update_ee72b",
                    referencing="REFERENCING OLD TABLE AS old_values  NEW TABLE AS new_values ",
                    table="tenants_invitation",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="invitation",
            trigger=pgtrigger.compiler.Trigger(
                name="delete",
                sql=tenants.models.history.OwnersTriggerSql(
                    func='INSERT INTO "tenants_invitationevent" ("invited_by_id", "accepted_by_id", "tenant_id", "id", "email", "role", "membership_expires_at", "expires_at", "accepted_at", "revoked_at", "created_at", "pgh_created_at", "pgh_label", "pgh_context") SELECT old_values."invited_by_id", old_values."accepted_by_id", old_values."tenant_id", old_values."id", old_values."email", old_values."role", old_values."membership_expires_at", old_values."expires_at", old_values."accepted_at", old_values."revoked_at", old_values."created_at", NOW(), \'delete\', NULLIF(current_setting(\'pghistory.context_metadata\', true), \'\')::jsonb FROM old_values ; RETURN NULL;',
                    hash="ccc8d536c71ae3788a4a48d016ec750ec3ee141b",
                    level="STATEMENT",
                    operation="DELETE",
                    pgid="pgtrigger_delete_63b6f",
                    referencing="REFERENCING OLD TABLE AS old_values ",
                    table="tenants_invitation",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="membership",
            trigger=pgtrigger.compiler.Trigger(
                name="insert",
                sql=tenants.models.history.OwnersTriggerSql(
                    func='INSERT INTO "tenants_membershipevent" ("user_id", "tenant_id", "id", "role", "expires_at", "ended_at", "created_at", "pgh_created_at", "pgh_label", "pgh_context") SELECT new_values."user_id", new_values."tenant_id", new_values."id", new_values."role", new_values."expires_at", new_values."ended_at", new_values."created_at", NOW(), \'insert\', NULLIF(current_setting(\'pghistory.context_metadata\', true), \'\')::jsonb FROM new_values ; RETURN NULL;',
                    hash="aee7a5077726dac62978ec8989d143ef8ec0a356",
                    level="STATEMENT",
                    operation="INSERT",
                    pgid="pgtrigger_insert_4f797",
                    referencing="REFERENCING NEW TABLE AS new_values ",
                    table="tenants_membership",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="membership",
            trigger=pgtrigger.compiler.Trigger(
                name="update",
                sql=tenants.models.history.OwnersTriggerSql(
                    func='INSERT INTO "tenants_membershipevent" ("user_id", "tenant_id", "id", "role", "expires_at", "ended_at", "created_at", "pgh_created_at", "pgh_label", "pgh_context", "pgh_before") SELECT new_values."user_id", new_values."tenant_id", new_values."id", new_values."role", new_values."expires_at", new_values."ended_at", new_values."created_at", NOW(), \'update\', NULLIF(current_setting(\'pghistory.context_metadata\', true), \'\')::jsonb, CASE WHEN old_values."tenant_id" IS DISTINCT FROM new_values."tenant_id" THEN jsonb_build_object(\'tenant\', old_values."tenant_id") ELSE \'{}\'::jsonb END || CASE WHEN old_values."user_id" IS DISTINCT FROM new_values."user_id" THEN jsonb_build_object(\'user\', old_values."user_id") ELSE \'{}\'::jsonb END || CASE WHEN old_values."role" IS DISTINCT FROM new_values."role" THEN jsonb_build_object(\'role\', old_values."role") ELSE \'{}\'::jsonb END || CASE WHEN old_values."expires_at" IS DISTINCT FROM new_values."expires_at" THEN jsonb_build_object(\'expires_at\', old_values."expires_at") ELSE \'{}\'::jsonb END || CASE WHEN old_values."ended_at" IS DISTINCT FROM new_values."ended_at" THEN jsonb_build_object(\'ended_at\', old_values."ended_at") ELSE \'{}\'::jsonb END || CASE WHEN old_values."created_at" IS DISTINCT FROM new_values."created_at" THEN jsonb_build_object(\'created_at\', old_values."created_at") ELSE \'{}\'::jsonb END FROM old_values RIGHT JOIN new_values ON (old_values."id") = (new_values."id") WHERE (old_values."created_at" IS DISTINCT FROM (new_values."created_at") OR old_values."ended_at" IS DISTINCT FROM (new_values."ended_at") OR old_values."expires_at" IS DISTINCT FROM (new_values."expires_at") OR old_values."role" IS DISTINCT FROM (new_values."role") OR old_values."tenant_id" IS DISTINCT FROM (new_values."tenant_id") OR old_values."user_id" IS DISTINCT FROM (new_values."user_id")); RETURN NULL;',
                    hash="d7ff9d7d6b98d487b628e3f119155c452af20b51",
                    level="STATEMENT",
                    operation="UPDATE",
                    pgid="pgtrigger_update_55c80",
                    referencing="REFERENCING OLD TABLE AS old_values  NEW TABLE AS new_values ",
                    table="tenants_membership",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="membership",
            trigger=pgtrigger.compiler.Trigger(
                name="delete",
                sql=tenants.models.history.OwnersTriggerSql(
                    func='INSERT INTO "tenants_membershipevent" ("user_id", "tenant_id", "id", "role", "expires_at", "ended_at", "created_at", "pgh_created_at", "pgh_label", "pgh_context") SELECT old_values."user_id", old_values."tenant_id", old_values."id", old_values."role", old_values."expires_at", old_values."ended_at", old_values."created_at", NOW(), \'delete\', NULLIF(current_setting(\'pghistory.context_metadata\', true), \'\')::jsonb FROM old_values ; RETURN NULL;',
                    hash="eec2fce87b47dbbbee83f0dd09664446c5efed8c",
                    level="STATEMENT",
                    operation="DELETE",
                    pgid="pgtrigger_delete_686be",
                    referencing="REFERENCING OLD TABLE AS old_values ",
                    table="tenants_membership",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="tenant",
            trigger=pgtrigger.compiler.Trigger(
                name="insert",
                sql=tenants.models.history.OwnersTriggerSql(
                    func='INSERT INTO "tenants_tenantevent" ("id", "slug", "name", "status", "time_zone", "postal_address", "daily_cap", "created_at", "tenant_id", "pgh_created_at", "pgh_label", "pgh_context") SELECT new_values."id", new_values."slug", new_values."name", new_values."status", new_values."time_zone", new_values."postal_address", new_values."daily_cap", new_values."created_at", new_values."id", NOW(), \'insert\', NULLIF(current_setting(\'pghistory.context_metadata\', true), \'\')::jsonb FROM new_values ; RETURN NULL;',
                    hash="90d2a08897cd6daafd2d05a04ea6d4ab709c22fb",
                    level="STATEMENT",
                    operation="INSERT",
                    pgid="pgtrigger_insert_aa4d0",
                    referencing="REFERENCING NEW TABLE AS new_values ",
                    table="tenants_tenant",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="tenant",
            trigger=pgtrigger.compiler.Trigger(
                name="update",
                sql=tenants.models.history.OwnersTriggerSql(
                    func='INSERT INTO "tenants_tenantevent" ("id", "slug", "name", "status", "time_zone", "postal_address", "daily_cap", "created_at", "tenant_id", "pgh_created_at", "pgh_label", "pgh_context", "pgh_before") SELECT new_values."id", new_values."slug", new_values."name", new_values."status", new_values."time_zone", new_values."postal_address", new_values."daily_cap", new_values."created_at", new_values."id", NOW(), \'update\', NULLIF(current_setting(\'pghistory.context_metadata\', true), \'\')::jsonb, CASE WHEN old_values."slug" IS DISTINCT FROM new_values."slug" THEN jsonb_build_object(\'slug\', old_values."slug") ELSE \'{}\'::jsonb END || CASE WHEN old_values."name" IS DISTINCT FROM new_values."name" THEN jsonb_build_object(\'name\', old_values."name") ELSE \'{}\'::jsonb END || CASE WHEN old_values."status" IS DISTINCT FROM new_values."status" THEN jsonb_build_object(\'status\', old_values."status") ELSE \'{}\'::jsonb END || CASE WHEN old_values."time_zone" IS DISTINCT FROM new_values."time_zone" THEN jsonb_build_object(\'time_zone\', old_values."time_zone") ELSE \'{}\'::jsonb END || CASE WHEN old_values."postal_address" IS DISTINCT FROM new_values."postal_address" THEN jsonb_build_object(\'postal_address\', old_values."postal_address") ELSE \'{}\'::jsonb END || CASE WHEN old_values."daily_cap" IS DISTINCT FROM new_values."daily_cap" THEN jsonb_build_object(\'daily_cap\', old_values."daily_cap") ELSE \'{}\'::jsonb END || CASE WHEN old_values."created_at" IS DISTINCT FROM new_values."created_at" THEN jsonb_build_object(\'created_at\', old_values."created_at") ELSE \'{}\'::jsonb END FROM old_values RIGHT JOIN new_values ON (old_values."id") = (new_values."id") WHERE (old_values."created_at" IS DISTINCT FROM (new_values."created_at") OR old_values."daily_cap" IS DISTINCT FROM (new_values."daily_cap") OR old_values."name" IS DISTINCT FROM (new_values."name") OR old_values."postal_address" IS DISTINCT FROM (new_values."postal_address") OR old_values."slug" IS DISTINCT FROM (new_values."slug") OR old_values."status" IS DISTINCT FROM (new_values."status") OR old_values."time_zone" IS DISTINCT FROM (new_values."time_zone")); RETURN NULL;',
                    hash="bb317ea3aa931a9514b5ff195514e54d5cb399ae",
                    level="STATEMENT",
                    operation="UPDATE",
                    pgid="pgtrigger_update_be6f1",
                    referencing="REFERENCING OLD TABLE AS old_values  NEW TABLE AS new_values ",
                    table="tenants_tenant",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="tenant",
            trigger=pgtrigger.compiler.Trigger(
                name="delete",
                sql=tenants.models.history.OwnersTriggerSql(
                    func='INSERT INTO "tenants_tenantevent" ("id", "slug", "name", "status", "time_zone", "postal_address", "daily_cap", "created_at", "tenant_id", "pgh_created_at", "pgh_label", "pgh_context") SELECT old_values."id", old_values."slug", old_values."name", old_values."status", old_values."time_zone", old_values."postal_address", old_values."daily_cap", old_values."created_at", old_values."id", NOW(), \'delete\', NULLIF(current_setting(\'pghistory.context_metadata\', true), \'\')::jsonb FROM old_values ; RETURN NULL;',
                    hash="17453bee48ce0be5212ccd09fbb785ca175a87cd",
                    level="STATEMENT",
                    operation="DELETE",
                    pgid="pgtrigger_delete_229da",
                    referencing="REFERENCING OLD TABLE AS old_values ",
                    table="tenants_tenant",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="tenantrecord",
            trigger=pgtrigger.compiler.Trigger(
                name="insert",
                sql=tenants.models.history.OwnersTriggerSql(
                    func='INSERT INTO "tenants_tenantrecordevent" ("tenant_id", "id", "legal_name", "register_number", "country", "privacy_url", "owner_name", "owner_email", "billing_name", "billing_email", "abuse_name", "abuse_email", "data_protection_name", "data_protection_email", "contract_signed_on", "contract_ends_on", "dpa_signed_on", "authority_letter_on", "allowed_countries", "allowed_bases", "contracted_volume", "pgh_created_at", "pgh_label", "pgh_context") SELECT new_values."tenant_id", new_values."id", new_values."legal_name", new_values."register_number", new_values."country", new_values."privacy_url", new_values."owner_name", new_values."owner_email", new_values."billing_name", new_values."billing_email", new_values."abuse_name", new_values."abuse_email", new_values."data_protection_name", new_values."data_protection_email", new_values."contract_signed_on", new_values."contract_ends_on", new_values."dpa_signed_on", new_values."authority_letter_on", new_values."allowed_countries", new_values."allowed_bases", new_values."contracted_volume", NOW(), \'insert\', NULLIF(current_setting(\'pghistory.context_metadata\', true), \'\')::jsonb FROM new_values ; RETURN NULL;',
                    hash="ab27cb45516da2edbb5a7636a4007b42254a48da",
                    level="STATEMENT",
                    operation="INSERT",
                    pgid="pgtrigger_insert_74d22",
                    referencing="REFERENCING NEW TABLE AS new_values ",
                    table="tenants_tenantrecord",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="tenantrecord",
            trigger=pgtrigger.compiler.Trigger(
                name="update",
                sql=tenants.models.history.OwnersTriggerSql(
                    func='INSERT INTO "tenants_tenantrecordevent" ("tenant_id", "id", "legal_name", "register_number", "country", "privacy_url", "owner_name", "owner_email", "billing_name", "billing_email", "abuse_name", "abuse_email", "data_protection_name", "data_protection_email", "contract_signed_on", "contract_ends_on", "dpa_signed_on", "authority_letter_on", "allowed_countries", "allowed_bases", "contracted_volume", "pgh_created_at", "pgh_label", "pgh_context", "pgh_before") SELECT new_values."tenant_id", new_values."id", new_values."legal_name", new_values."register_number", new_values."country", new_values."privacy_url", new_values."owner_name", new_values."owner_email", new_values."billing_name", new_values."billing_email", new_values."abuse_name", new_values."abuse_email", new_values."data_protection_name", new_values."data_protection_email", new_values."contract_signed_on", new_values."contract_ends_on", new_values."dpa_signed_on", new_values."authority_letter_on", new_values."allowed_countries", new_values."allowed_bases", new_values."contracted_volume", NOW(), \'update\', NULLIF(current_setting(\'pghistory.context_metadata\', true), \'\')::jsonb, CASE WHEN old_values."tenant_id" IS DISTINCT FROM new_values."tenant_id" THEN jsonb_build_object(\'tenant\', old_values."tenant_id") ELSE \'{}\'::jsonb END || CASE WHEN old_values."legal_name" IS DISTINCT FROM new_values."legal_name" THEN jsonb_build_object(\'legal_name\', old_values."legal_name") ELSE \'{}\'::jsonb END || CASE WHEN old_values."register_number" IS DISTINCT FROM new_values."register_number" THEN jsonb_build_object(\'register_number\', old_values."register_number") ELSE \'{}\'::jsonb END || CASE WHEN old_values."country" IS DISTINCT FROM new_values."country" THEN jsonb_build_object(\'country\', old_values."country") ELSE \'{}\'::jsonb END || CASE WHEN old_values."privacy_url" IS DISTINCT FROM new_values."privacy_url" THEN jsonb_build_object(\'privacy_url\', old_values."privacy_url") ELSE \'{}\'::jsonb END || CASE WHEN old_values."owner_name" IS DISTINCT FROM new_values."owner_name" THEN jsonb_build_object(\'owner_name\', old_values."owner_name") ELSE \'{}\'::jsonb END || CASE WHEN old_values."owner_email" IS DISTINCT FROM new_values."owner_email" THEN jsonb_build_object(\'owner_email\', old_values."owner_email") ELSE \'{}\'::jsonb END || CASE WHEN old_values."billing_name" IS DISTINCT FROM new_values."billing_name" THEN jsonb_build_object(\'billing_name\', old_values."billing_name") ELSE \'{}\'::jsonb END || CASE WHEN old_values."billing_email" IS DISTINCT FROM new_values."billing_email" THEN jsonb_build_object(\'billing_email\', old_values."billing_email") ELSE \'{}\'::jsonb END || CASE WHEN old_values."abuse_name" IS DISTINCT FROM new_values."abuse_name" THEN jsonb_build_object(\'abuse_name\', old_values."abuse_name") ELSE \'{}\'::jsonb END || CASE WHEN old_values."abuse_email" IS DISTINCT FROM new_values."abuse_email" THEN jsonb_build_object(\'abuse_email\', old_values."abuse_email") ELSE \'{}\'::jsonb END || CASE WHEN old_values."data_protection_name" IS DISTINCT FROM new_values."data_protection_name" THEN jsonb_build_object(\'data_protection_name\', old_values."data_protection_name") ELSE \'{}\'::jsonb END || CASE WHEN old_values."data_protection_email" IS DISTINCT FROM new_values."data_protection_email" THEN jsonb_build_object(\'data_protection_email\', old_values."data_protection_email") ELSE \'{}\'::jsonb END || CASE WHEN old_values."contract_signed_on" IS DISTINCT FROM new_values."contract_signed_on" THEN jsonb_build_object(\'contract_signed_on\', old_values."contract_signed_on") ELSE \'{}\'::jsonb END || CASE WHEN old_values."contract_ends_on" IS DISTINCT FROM new_values."contract_ends_on" THEN jsonb_build_object(\'contract_ends_on\', old_values."contract_ends_on") ELSE \'{}\'::jsonb END || CASE WHEN old_values."dpa_signed_on" IS DISTINCT FROM new_values."dpa_signed_on" THEN jsonb_build_object(\'dpa_signed_on\', old_values."dpa_signed_on") ELSE \'{}\'::jsonb END || CASE WHEN old_values."authority_letter_on" IS DISTINCT FROM new_values."authority_letter_on" THEN jsonb_build_object(\'authority_letter_on\', old_values."authority_letter_on") ELSE \'{}\'::jsonb END || CASE WHEN old_values."allowed_countries" IS DISTINCT FROM new_values."allowed_countries" THEN jsonb_build_object(\'allowed_countries\', old_values."allowed_countries") ELSE \'{}\'::jsonb END || CASE WHEN old_values."allowed_bases" IS DISTINCT FROM new_values."allowed_bases" THEN jsonb_build_object(\'allowed_bases\', old_values."allowed_bases") ELSE \'{}\'::jsonb END || CASE WHEN old_values."contracted_volume" IS DISTINCT FROM new_values."contracted_volume" THEN jsonb_build_object(\'contracted_volume\', old_values."contracted_volume") ELSE \'{}\'::jsonb END FROM old_values RIGHT JOIN new_values ON (old_values."id") = (new_values."id") WHERE (old_values."abuse_email" IS DISTINCT FROM (new_values."abuse_email") OR old_values."abuse_name" IS DISTINCT FROM (new_values."abuse_name") OR old_values."allowed_bases" IS DISTINCT FROM (new_values."allowed_bases") OR old_values."allowed_countries" IS DISTINCT FROM (new_values."allowed_countries") OR old_values."authority_letter_on" IS DISTINCT FROM (new_values."authority_letter_on") OR old_values."billing_email" IS DISTINCT FROM (new_values."billing_email") OR old_values."billing_name" IS DISTINCT FROM (new_values."billing_name") OR old_values."contract_ends_on" IS DISTINCT FROM (new_values."contract_ends_on") OR old_values."contract_signed_on" IS DISTINCT FROM (new_values."contract_signed_on") OR old_values."contracted_volume" IS DISTINCT FROM (new_values."contracted_volume") OR old_values."country" IS DISTINCT FROM (new_values."country") OR old_values."data_protection_email" IS DISTINCT FROM (new_values."data_protection_email") OR old_values."data_protection_name" IS DISTINCT FROM (new_values."data_protection_name") OR old_values."dpa_signed_on" IS DISTINCT FROM (new_values."dpa_signed_on") OR old_values."legal_name" IS DISTINCT FROM (new_values."legal_name") OR old_values."owner_email" IS DISTINCT FROM (new_values."owner_email") OR old_values."owner_name" IS DISTINCT FROM (new_values."owner_name") OR old_values."privacy_url" IS DISTINCT FROM (new_values."privacy_url") OR old_values."register_number" IS DISTINCT FROM (new_values."register_number") OR old_values."tenant_id" IS DISTINCT FROM (new_values."tenant_id")); RETURN NULL;',
                    hash="8ed870bf2e20a70f67d88d7c5ffc4e286f95484f",
                    level="STATEMENT",
                    operation="UPDATE",
                    pgid="pgtrigger_update_0fa9a",
                    referencing="REFERENCING OLD TABLE AS old_values  NEW TABLE AS new_values ",
                    table="tenants_tenantrecord",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="tenantrecord",
            trigger=pgtrigger.compiler.Trigger(
                name="delete",
                sql=tenants.models.history.OwnersTriggerSql(
                    func='INSERT INTO "tenants_tenantrecordevent" ("tenant_id", "id", "legal_name", "register_number", "country", "privacy_url", "owner_name", "owner_email", "billing_name", "billing_email", "abuse_name", "abuse_email", "data_protection_name", "data_protection_email", "contract_signed_on", "contract_ends_on", "dpa_signed_on", "authority_letter_on", "allowed_countries", "allowed_bases", "contracted_volume", "pgh_created_at", "pgh_label", "pgh_context") SELECT old_values."tenant_id", old_values."id", old_values."legal_name", old_values."register_number", old_values."country", old_values."privacy_url", old_values."owner_name", old_values."owner_email", old_values."billing_name", old_values."billing_email", old_values."abuse_name", old_values."abuse_email", old_values."data_protection_name", old_values."data_protection_email", old_values."contract_signed_on", old_values."contract_ends_on", old_values."dpa_signed_on", old_values."authority_letter_on", old_values."allowed_countries", old_values."allowed_bases", old_values."contracted_volume", NOW(), \'delete\', NULLIF(current_setting(\'pghistory.context_metadata\', true), \'\')::jsonb FROM old_values ; RETURN NULL;',
                    hash="0b19787d0079079aebc89087ca18a609246db259",
                    level="STATEMENT",
                    operation="DELETE",
                    pgid="pgtrigger_delete_55260",
                    referencing="REFERENCING OLD TABLE AS old_values ",
                    table="tenants_tenantrecord",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="user",
            trigger=pgtrigger.compiler.Trigger(
                name="insert",
                sql=tenants.models.history.OwnersTriggerSql(
                    func='INSERT INTO "tenants_userevent" ("id", "is_superuser", "first_name", "last_name", "is_staff", "is_active", "date_joined", "email", "pgh_created_at", "pgh_label", "pgh_context") SELECT new_values."id", new_values."is_superuser", new_values."first_name", new_values."last_name", new_values."is_staff", new_values."is_active", new_values."date_joined", new_values."email", NOW(), \'insert\', NULLIF(current_setting(\'pghistory.context_metadata\', true), \'\')::jsonb FROM new_values ; RETURN NULL;',
                    hash="9adc142604872a9703fb5a2cd45d45aa0d5bd9ff",
                    level="STATEMENT",
                    operation="INSERT",
                    pgid="pgtrigger_insert_46108",
                    referencing="REFERENCING NEW TABLE AS new_values ",
                    table="tenants_user",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="user",
            trigger=pgtrigger.compiler.Trigger(
                name="update",
                sql=tenants.models.history.OwnersTriggerSql(
                    func='INSERT INTO "tenants_userevent" ("id", "is_superuser", "first_name", "last_name", "is_staff", "is_active", "date_joined", "email", "pgh_created_at", "pgh_label", "pgh_context", "pgh_before") SELECT new_values."id", new_values."is_superuser", new_values."first_name", new_values."last_name", new_values."is_staff", new_values."is_active", new_values."date_joined", new_values."email", NOW(), \'update\', NULLIF(current_setting(\'pghistory.context_metadata\', true), \'\')::jsonb, CASE WHEN old_values."password" IS DISTINCT FROM new_values."password" THEN jsonb_build_object(\'password\', NULL) ELSE \'{}\'::jsonb END || CASE WHEN old_values."is_superuser" IS DISTINCT FROM new_values."is_superuser" THEN jsonb_build_object(\'is_superuser\', old_values."is_superuser") ELSE \'{}\'::jsonb END || CASE WHEN old_values."first_name" IS DISTINCT FROM new_values."first_name" THEN jsonb_build_object(\'first_name\', old_values."first_name") ELSE \'{}\'::jsonb END || CASE WHEN old_values."last_name" IS DISTINCT FROM new_values."last_name" THEN jsonb_build_object(\'last_name\', old_values."last_name") ELSE \'{}\'::jsonb END || CASE WHEN old_values."is_staff" IS DISTINCT FROM new_values."is_staff" THEN jsonb_build_object(\'is_staff\', old_values."is_staff") ELSE \'{}\'::jsonb END || CASE WHEN old_values."is_active" IS DISTINCT FROM new_values."is_active" THEN jsonb_build_object(\'is_active\', old_values."is_active") ELSE \'{}\'::jsonb END || CASE WHEN old_values."date_joined" IS DISTINCT FROM new_values."date_joined" THEN jsonb_build_object(\'date_joined\', old_values."date_joined") ELSE \'{}\'::jsonb END || CASE WHEN old_values."email" IS DISTINCT FROM new_values."email" THEN jsonb_build_object(\'email\', old_values."email") ELSE \'{}\'::jsonb END FROM old_values RIGHT JOIN new_values ON (old_values."id") = (new_values."id") WHERE (old_values."date_joined" IS DISTINCT FROM (new_values."date_joined") OR old_values."email" IS DISTINCT FROM (new_values."email") OR old_values."first_name" IS DISTINCT FROM (new_values."first_name") OR old_values."is_active" IS DISTINCT FROM (new_values."is_active") OR old_values."is_staff" IS DISTINCT FROM (new_values."is_staff") OR old_values."is_superuser" IS DISTINCT FROM (new_values."is_superuser") OR old_values."last_name" IS DISTINCT FROM (new_values."last_name") OR old_values."password" IS DISTINCT FROM (new_values."password")); RETURN NULL;',
                    hash="5671fac8c565b2913a1412c977a774d93f9ba5d3",
                    level="STATEMENT",
                    operation="UPDATE",
                    pgid="pgtrigger_update_2b7ee",
                    referencing="REFERENCING OLD TABLE AS old_values  NEW TABLE AS new_values ",
                    table="tenants_user",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="user",
            trigger=pgtrigger.compiler.Trigger(
                name="delete",
                sql=tenants.models.history.OwnersTriggerSql(
                    func='INSERT INTO "tenants_userevent" ("id", "is_superuser", "first_name", "last_name", "is_staff", "is_active", "date_joined", "email", "pgh_created_at", "pgh_label", "pgh_context") SELECT old_values."id", old_values."is_superuser", old_values."first_name", old_values."last_name", old_values."is_staff", old_values."is_active", old_values."date_joined", old_values."email", NOW(), \'delete\', NULLIF(current_setting(\'pghistory.context_metadata\', true), \'\')::jsonb FROM old_values ; RETURN NULL;',
                    hash="8bf4b07503314825b3b207883fc51170f6fb631e",
                    level="STATEMENT",
                    operation="DELETE",
                    pgid="pgtrigger_delete_c0d58",
                    referencing="REFERENCING OLD TABLE AS old_values ",
                    table="tenants_user",
                    when="AFTER",
                ),
            ),
        ),
        migrations.AddField(
            model_name="apikeyevent",
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
            model_name="breakglassevent",
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
            model_name="checklistentryevent",
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
            model_name="invitationevent",
            name="tenant",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+",
                to="tenants.tenant",
            ),
        ),
        migrations.AddField(
            model_name="membershipevent",
            name="tenant",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+",
                to="tenants.tenant",
            ),
        ),
        migrations.AddField(
            model_name="tenantevent",
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
            model_name="tenantrecordevent",
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
            model_name="userevent",
            index=models.Index(fields=["id", "pgh_id"], name="userevent_row"),
        ),
        migrations.AddIndex(
            model_name="apikeyevent",
            index=models.Index(fields=["id", "pgh_id"], name="apikeyevent_row"),
        ),
        migrations.AddIndex(
            model_name="breakglassevent",
            index=models.Index(fields=["id", "pgh_id"], name="breakglassevent_row"),
        ),
        migrations.AddIndex(
            model_name="checklistentryevent",
            index=models.Index(fields=["id", "pgh_id"], name="checklistentryevent_row"),
        ),
        migrations.AddIndex(
            model_name="invitationevent",
            index=models.Index(fields=["id", "pgh_id"], name="invitationevent_row"),
        ),
        migrations.AddIndex(
            model_name="membershipevent",
            index=models.Index(fields=["id", "pgh_id"], name="membershipevent_row"),
        ),
        migrations.AddIndex(
            model_name="tenantevent",
            index=models.Index(fields=["id", "pgh_id"], name="tenantevent_row"),
        ),
        migrations.AddIndex(
            model_name="tenantrecordevent",
            index=models.Index(fields=["id", "pgh_id"], name="tenantrecordevent_row"),
        ),
        ProtectTenantRows(
            "ApiKeyEvent",
            "BreakGlassEvent",
            "ChecklistEntryEvent",
            "InvitationEvent",
            "MembershipEvent",
            "TenantEvent",
            "TenantRecordEvent",
        ),
        AppendOnly(
            "ApiKeyEvent",
            "BreakGlassEvent",
            "ChecklistEntryEvent",
            "InvitationEvent",
            "MembershipEvent",
            "TenantEvent",
            "TenantRecordEvent",
            "UserEvent",
        ),
    ]
