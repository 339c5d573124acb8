from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    """Who waits for one mailbox, without reading everybody; only follow-ups stand in it."""

    atomic = False
    dependencies = [("campaigns", "0007_handover")]
    operations = [
        AddIndexConcurrently(
            "enrolment",
            models.Index(
                fields=["mailbox"],
                condition=models.Q(due_at__isnull=False, mailbox__isnull=False),
                name="enrolment_bound",
            ),
        ),
    ]
