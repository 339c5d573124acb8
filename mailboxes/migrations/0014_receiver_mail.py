import django.db.models.functions.datetime
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("mailboxes", "0014_rate"),
    ]

    operations = [
        migrations.AddField(
            model_name="receiverdomain",
            name="answered_at",
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="receiverdomain",
            name="asking_until",
            field=models.DateTimeField(blank=True, editable=False, null=True),
        ),
        migrations.AddField(
            model_name="receiverdomain",
            name="due_at",
            field=models.DateTimeField(
                db_default=django.db.models.functions.datetime.Now(),
                help_text="From then on it is asked again if need be.",
            ),
        ),
        migrations.AddField(
            model_name="receiverdomain",
            name="failures",
            field=models.PositiveSmallIntegerField(db_default=0, help_text="Look-ups without an answer, in a row."),
        ),
        migrations.AddField(
            model_name="receiverdomain",
            name="mail",
            field=models.CharField(
                blank=True,
                choices=[
                    ("", "not known"),
                    ("mx", "has an MX"),
                    ("address", "no MX, an address of its own"),
                    ("null_mx", "takes no mail (null MX)"),
                    ("no_mx", "neither MX nor address"),
                    ("dead_mx", "the hosts of its MX have no address"),
                    ("no_domain", "does not exist"),
                ],
                db_default="",
                max_length=10,
            ),
        ),
        migrations.AddField(
            model_name="receiverdomain",
            name="trouble",
            field=models.CharField(
                blank=True, db_default="", help_text="What stood in the way of the last answer.", max_length=10
            ),
        ),
        migrations.AddIndex(
            model_name="receiverdomain",
            index=models.Index(
                condition=models.Q(("failures__gt", 0)), fields=["due_at"], name="receiverdomain_trouble"
            ),
        ),
        migrations.AddConstraint(
            model_name="receiverdomain",
            constraint=models.CheckConstraint(
                condition=models.Q(("mail__in", ["", "mx", "address", "null_mx", "no_mx", "dead_mx", "no_domain"])),
                name="receiverdomain_mail_known",
            ),
        ),
        migrations.AddConstraint(
            model_name="receiverdomain",
            constraint=models.CheckConstraint(
                condition=models.Q(("mail", ""), ("answered_at__isnull", False), _connector="OR"),
                name="receiverdomain_answer_has_time",
            ),
        ),
    ]
