"""The settings with only what tests must change: servers of their own, a fast hasher, plain static files."""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# One directory per run, handed down to the processes of pytest-xdist. Only conftest starts servers in it.
os.environ.setdefault("OUTREACH_TEST_STATE", str(ROOT / ".run-test" / str(os.getpid())))
os.environ["STATE_DIR"] = os.environ["OUTREACH_TEST_STATE"]
os.environ["DEBUG"] = "1"  # stand-in keys
for name in ("DATABASE_URL", "WORKER_DATABASE_URL", "OWNER_DATABASE_URL", "REDIS_URL"):
    os.environ.pop(name, None)
os.environ["DATABASE_ROLE"] = "owner"  # makes and migrates the test database; conftest goes on as web

from outreach.settings import *  # noqa: E402, F403

DEBUG = False
DATABASES["default"]["TEST"] = {"NAME": "test_outreach"}  # noqa: F405
number = os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")
REDIS_URL = REDIS_URL.replace("db=0", f"db={number}")  # noqa: F405
for queue in RQ_QUEUES.values():  # noqa: F405
    queue["URL"] = REDIS_URL
CACHES["counters"]["LOCATION"] = REDIS_URL  # type: ignore[index]  # noqa: F405
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.InMemoryStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
AXES_ENABLED = False  # tests sign in without a request; the lock has a test of its own
LOGGING = {"level": "WARNING"}
