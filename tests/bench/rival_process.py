"""django-post-office at its best; runs in an environment of its own, told on stdin what to do.

`send N` fills the queue with N mails and empties it; the answer is one JSON line with the seconds of the
emptying alone and the CPU seconds that it took.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from pathlib import Path

MAILBOXES, CHUNK, PROCESSES = 1200, 1000, 2


def configure(sockets: str, database: str, port: int) -> None:
    import django
    from django.conf import settings
    from django.core.mail.utils import DNS_NAME

    settings.configure(
        SECRET_KEY="of the bench",
        USE_TZ=True,
        INSTALLED_APPS=["django.contrib.contenttypes", "post_office"],
        DATABASES={
            "default": {
                "ENGINE": "django.db.backends.postgresql",
                "NAME": database,
                "USER": "postgres",
                "HOST": sockets,
                "PORT": "5432",
            }
        },
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        EMAIL_BACKEND="post_office.EmailBackend",
        TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates"}],
        EMAIL_HOST="127.0.0.1",
        EMAIL_PORT=port,
        LOGGING_CONFIG=None,
        POST_OFFICE={
            "BACKENDS": {"default": "django.core.mail.backends.smtp.EmailBackend"},
            "BATCH_SIZE": 1000,
            "THREADS_PER_PROCESS": 5,
            "LOG_LEVEL": 0,
        },
    )
    DNS_NAME._fqdn = "console.example.com"  # else the first connection may wait for a name server
    django.setup()


def fill(count: int, text: str, html: str) -> None:
    from post_office import mail

    for start in range(0, count, CHUNK):
        mail.send_many(
            [
                {
                    "sender": f"Sender {n % MAILBOXES} <box{n % MAILBOXES}@fleet{n % 60}.example>",
                    "recipients": [f"person{n}@people.example"],
                    "subject": f"First{n}, a question about invoices at Company {n}",
                    "message": text.replace("NUMBER", str(n)),
                    "html_message": html.replace("NUMBER", str(n)),
                    "headers": {
                        "List-Unsubscribe": f"<https://console.example.com/u/{n:060d}>",
                        "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
                        "List-Id": "<c1.tenant.console.example.com>",
                        "Feedback-ID": "c1:t1:campaign:outreach",
                        "Precedence": "bulk",
                    },
                }
                for n in range(start, min(start + CHUNK, count))
            ]
        )


def empty(count: int, lock: str) -> dict[str, float]:
    from django.db import connection
    from post_office import mail
    from post_office.models import STATUS, Email

    connection.close()
    before, started = os.times(), time.monotonic()
    mail.send_queued_mail_until_done(lock, PROCESSES, 0)
    seconds, after = time.monotonic() - started, os.times()
    sent = Email.objects.filter(status=STATUS.sent).count()
    if sent != count:
        raise SystemExit(f"Only {sent} of {count} were sent.")
    return {"seconds": seconds, "cpu_seconds": sum(after[:4]) - sum(before[:4])}


def main() -> None:
    sockets, database, port, state = sys.argv[1:5]
    logging.disable(logging.INFO)
    configure(sockets, database, int(port))

    from django.core.management import call_command
    from django.db import connection

    call_command("migrate", verbosity=0, interactive=False)
    texts = json.loads(sys.stdin.readline())
    for line in sys.stdin:
        count = int(line.split()[1])
        with connection.cursor() as cursor:
            cursor.execute("TRUNCATE post_office_email CASCADE")
        fill(count, texts["text"], texts["html"])
        with connection.cursor() as cursor:
            cursor.execute("VACUUM (ANALYZE) post_office_email")
            cursor.execute("CHECKPOINT")
        sys.stdout.write(json.dumps(empty(count, str(Path(state) / "post_office"))) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
