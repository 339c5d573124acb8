"""Every setting, in reading order. Each name in capitals can be set in the environment or in STATE_DIR/env.

Production (DEBUG off) refuses to start without the settings that have no safe default.
"""

import base64
import hashlib
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import environ
from django.core.exceptions import ImproperlyConfigured
from redis.backoff import NoBackoff
from redis.retry import Retry

from outreach import embedded

BASE_DIR = Path(__file__).resolve().parent.parent
STATE_DIR = embedded.state_dir()
env = environ.Env()
environ.Env.read_env(STATE_DIR / "env")  # what `up` wrote at its first start; real variables win


def required(name: str, remedy: str, development: str) -> str:
    """Return the variable; development gets a stand-in, production stops with what to do."""
    value = env.str(name, default="")
    if value or DEBUG:
        return value or development
    raise ImproperlyConfigured(f"{name} is not set, and production needs it. {remedy} See the settings in README.md.")


def development_key(name: str) -> str:
    """Return 32 bytes in base64, the same at every start and no secret at all."""
    return base64.b64encode(hashlib.sha256(f"development only: {name}".encode()).digest()).decode()


# --- Where this runs ---------------------------------------------------------------------------------

DEBUG = env.bool("DEBUG", default=False)
SECRET_KEY = required("SECRET_KEY", "Set it to 50 random characters.", "development only " * 4)
ALLOWED_HOSTS = required(
    "ALLOWED_HOSTS",
    "Set it to the host names that people use, with commas between.",
    "localhost,127.0.0.1,[::1]",
).split(",")
PUBLIC_URL = required(
    "PUBLIC_URL",
    "Set it to the address that recipients' unsubscribe links use, as in https://console.example.com.",
    "http://localhost:8000",
).rstrip("/")
INSECURE_HTTP = env.bool("INSECURE_HTTP", default=DEBUG)  # plain http, for a console that listens on loopback only
EHLO_NAME = env.str("EHLO_NAME", default=urlsplit(PUBLIC_URL).hostname or "localhost")

# --- Keys: CREDENTIAL_KEYS and TOKEN_KEYS rotate (newest first, all of them open); HASH_KEY, AUDIT_KEY never change

KEY_REMEDY = "Make one with: echo k1:$(head -c 32 /dev/urandom | base64)"
CREDENTIAL_KEYS = required("CREDENTIAL_KEYS", KEY_REMEDY, "dev:" + development_key("credentials"))
TOKEN_KEYS = required("TOKEN_KEYS", KEY_REMEDY, "dev:" + development_key("tokens"))
AUDIT_KEY = required("AUDIT_KEY", "Make one with: head -c 32 /dev/urandom | base64", development_key("audit"))
HASH_KEY = required("HASH_KEY", "Make one with: head -c 32 /dev/urandom | base64", development_key("hashes"))

# --- Database: three roles; a missing one falls back to the web's, and then `doctor` says that no wall stands

EMBEDDED_POSTGRES = not env.str("DATABASE_URL", default="")
EMBEDDED_VALKEY = not env.str("REDIS_URL", default="")
DATABASE_URL = env.str("DATABASE_URL", default="") or embedded.database_url(STATE_DIR, "outreach_web")
DATABASE_URLS = {
    "web": DATABASE_URL,
    "worker": DATABASE_URL if not EMBEDDED_POSTGRES else embedded.database_url(STATE_DIR, "outreach_worker"),
    "owner": DATABASE_URL if not EMBEDDED_POSTGRES else embedded.database_url(STATE_DIR, "outreach_owner"),
}
DATABASE_URLS["worker"] = env.str("WORKER_DATABASE_URL", default="") or DATABASE_URLS["worker"]
DATABASE_URLS["owner"] = env.str("OWNER_DATABASE_URL", default="") or DATABASE_URLS["owner"]
DATABASE_ROLE = env.str("DATABASE_ROLE", default="web")  # manage.py chooses it by the command


def database(role: str) -> dict[str, Any]:
    """Return Django's settings for one role; nothing that PgBouncer between us would have to remember."""
    parts = environ.Env.db_url_config(DATABASE_URLS[role])
    options = parts.get("OPTIONS", {}) | {"prepare_threshold": None, "application_name": f"outreach-{role}"}
    keep = {"CONN_MAX_AGE": 60, "CONN_HEALTH_CHECKS": True, "DISABLE_SERVER_SIDE_CURSORS": True}
    return parts | keep | {"ENGINE": "outreach.common.postgres", "OPTIONS": options}


DATABASE_SETTINGS = {role: database(role) for role in DATABASE_URLS}
DATABASE_USERS = {role: parts["USER"] for role, parts in DATABASE_SETTINGS.items()}
DATABASES = {"default": database(DATABASE_ROLE)}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# --- Queue: hints only, so a flush of it loses nothing ------------------------------------------------

REDIS_URL = env.str("REDIS_URL", default="") or embedded.redis_url(STATE_DIR)
RQ = {"COMMIT_MODE": "on_db_commit"}  # no job for a row that was rolled back
RQ_QUEUES = {  # time limits in seconds, as a last resort; json, so no pickles in Redis
    name: {"URL": REDIS_URL, "SERIALIZER": "json", "DEFAULT_TIMEOUT": limit, "DEFAULT_RESULT_TTL": 60}
    for name, limit in {"send": 1800, "inbound": 600, "checks": 300, "bulk": 3600}.items()
}

# --- API: keys only; the counters of its limits are what Django's cache holds, and may be lost ---------

API_KEY_PER_MINUTE = env.int("API_KEY_PER_MINUTE", default=600)  # requests of one key
API_TENANT_PER_MINUTE = env.int("API_TENANT_PER_MINUTE", default=3000)  # requests of all keys of one tenant
API_ADDRESS_PER_MINUTE = env.int("API_ADDRESS_PER_MINUTE", default=60)  # requests of one address without a valid key
CACHES = {
    # Unfold would keep what a search found, beyond the end of a membership; only counters are kept, for all processes.
    "default": {"BACKEND": "django.core.cache.backends.dummy.DummyCache"},
    "counters": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": REDIS_URL,
        "KEY_PREFIX": "outreach",
        "OPTIONS": {
            "serializer": "outreach.common.caching.JsonSerializer",  # no pickles in Redis
            "socket_timeout": 1,
            "socket_connect_timeout": 1,
            "retry": Retry(NoBackoff(), 1),  # a pooled socket may be old
            "protocol": 2,
        },
    },
}
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [],  # TenantViewSet names its own: neither session nor password opens the API
    "DEFAULT_PERMISSION_CLASSES": [],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["outreach.common.json_input.JsonInput"],
    "DEFAULT_METADATA_CLASS": None,
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "outreach.common.problems.handle",
    "URL_FORMAT_OVERRIDE": None,
    "UNAUTHENTICATED_USER": None,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Outreach console",
    "DESCRIPTION": "Campaigns, mail and mailboxes of one tenant. Errors are problem details (RFC 9457).",
    "VERSION": "v1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "outreach.common.problems.in_schema",
    ],
    "ENUM_NAME_OVERRIDES": {
        "CampaignStatus": "campaigns.models.Campaign.Status",
        "EnrolmentStatus": "campaigns.models.Enrolment.Status",
        "MessageStatus": "campaigns.models.Message.Status",
        "TenantStatus": "tenants.models.Tenant.Status",
        "MailboxState": "mailboxes.models.Mailbox.State",
        "DomainState": "mailboxes.models.SendingDomain.State",
        "AccountState": "mailboxes.models.ProviderAccount.State",
        "AccountKind": "mailboxes.models.ProviderAccount.Kind",
        "SuppressionKind": "campaigns.models.Suppression.Kind",
        "SuppressionScope": "campaigns.models.Suppression.Scope",
        "AllowanceScope": "mailboxes.models.Allowance.Scope",
    },
}

# --- Sending: numbers are seconds unless the name says otherwise --------------------------------------

SEND_CONNECTIONS = env.int("SEND_CONNECTIONS", default=200)  # threads and sockets of one job
SEND_ONE_CPU = env.bool("SEND_ONE_CPU", default=True)  # each send worker stays on a CPU of its own
JOB_MESSAGES = env.int("JOB_MESSAGES", default=1000)
LEASE_SECONDS = env.int("LEASE_SECONDS", default=120)
BATCH_AHEAD_SECONDS = env.int("BATCH_AHEAD_SECONDS", default=10)
SMTP_CONNECT_SECONDS = env.int("SMTP_CONNECT_SECONDS", default=30)
SMTP_COMMAND_SECONDS = env.int("SMTP_COMMAND_SECONDS", default=300)  # RFC 5321, 4.5.3.2, like the three below
SMTP_DATA_SECONDS = env.int("SMTP_DATA_SECONDS", default=120)
SMTP_BLOCK_SECONDS = env.int("SMTP_BLOCK_SECONDS", default=180)
SMTP_DOT_SECONDS = env.int("SMTP_DOT_SECONDS", default=600)
DOT_LEASE_MARGIN_SECONDS = env.int("DOT_LEASE_MARGIN_SECONDS", default=60)  # after that mail is uncertain
DRAIN_SECONDS = env.int("DRAIN_SECONDS", default=30)  # how long a worker that was told to stop waits for answers
SMTP_ALLOW_LOOPBACK = env.bool("SMTP_ALLOW_LOOPBACK", default=DEBUG)  # loopback hosts, and no TLS to them
SMTP_PORTS = env.list("SMTP_PORTS", cast=int, default=[25, 465, 587, 2525])  # on loopback any, where that is allowed
SIGN_IN_HOST_CONNECTIONS = env.int("SIGN_IN_HOST_CONNECTIONS", default=4)  # tests at one host at a time, of all tenants
SIGN_IN_CONNECTIONS = env.int("SIGN_IN_CONNECTIONS", default=32)  # tests of one process at a time
SIGN_IN_SECONDS = env.int("SIGN_IN_SECONDS", default=20)  # for each phase of a test
UPLOAD_MIB = env.int("UPLOAD_MIB", default=32)  # the largest file that the console takes; commands take 2 GiB
UPLOAD_KEEP_SECONDS = env.int("UPLOAD_KEEP_SECONDS", default=86400)  # an uploaded file that nobody imports
RETRY_SCHEDULE = env.list("RETRY_SCHEDULE", cast=int, default=[300, 1800, 7200, 21600, 43200])
GIVE_UP_SECONDS = env.int("GIVE_UP_SECONDS", default=4 * 86400)
DOUBT_SECONDS = env.int("DOUBT_SECONDS", default=3 * 86400)  # then a campaign decides on mail that nobody heard of
NOT_INTERESTED_DAYS = env.int("NOT_INTERESTED_DAYS", default=180)  # nothing is sent to who said so
CIRCUIT_FIRST_SECONDS = env.int("CIRCUIT_FIRST_SECONDS", default=30)  # rest of a mailbox after a broken connection,
CIRCUIT_LONGEST_SECONDS = env.int("CIRCUIT_LONGEST_SECONDS", default=3600)  # doubled with each one in a row up to this
HOST_REST_SECONDS = env.int("HOST_REST_SECONDS", default=3600)  # rest of a mailbox that its host refused
PLAN_HORIZON_SECONDS = env.int("PLAN_HORIZON_SECONDS", default=900)
PLAN_EVERY_SECONDS = env.float("PLAN_EVERY_SECONDS", default=60)
BATCH_EVERY_SECONDS = env.float("BATCH_EVERY_SECONDS", default=1)
RING_AGAIN_SECONDS = env.list("RING_AGAIN_SECONDS", cast=int, default=[30, 60])  # the first hint lost, then each other
SWEEP_EVERY_SECONDS = env.float("SWEEP_EVERY_SECONDS", default=5)
RAMP_EVERY_SECONDS = env.float("RAMP_EVERY_SECONDS", default=60)  # whether some tenant's day has begun

# --- Sending domains ---------------------------------------------------------------------------------

DNS_NAMESERVER = env.str("DNS_NAMESERVER", default="")  # HOST:PORT of the one to ask; empty: those of this machine
DNS_CHECKS_AT_ONCE = env.int("DNS_CHECKS_AT_ONCE", default=16)  # domains that one worker asks about together
DOMAIN_CHECKS_EVERY_SECONDS = env.float("DOMAIN_CHECKS_EVERY_SECONDS", default=60)  # whether some domain is due
DOMAIN_CHECK_SECONDS = env.int("DOMAIN_CHECK_SECONDS", default=21600)  # between two checks of a domain in order
DOMAIN_CHECK_AGAIN_SECONDS = env.int("DOMAIN_CHECK_AGAIN_SECONDS", default=600)  # and of any other
RECEIVERS_EVERY_SECONDS = env.float("RECEIVERS_EVERY_SECONDS", default=600)  # whose MX runs new contacts' mail
KEEP_ALIVE_DAYS = env.int("KEEP_ALIVE_DAYS", default=90)  # MX and unsubscribe host after a domain's last mail
TRACKING_TARGET = env.str("TRACKING_TARGET", default=urlsplit(PUBLIC_URL).hostname or "localhost")
DMARC_REPORTS = env.str("DMARC_REPORTS", default="")  # address that takes reports; empty: each domain's postmaster
FIRST_SEND_AFTER_DAYS = env.int("FIRST_SEND_AFTER_DAYS", default=14)  # after a domain's registration

# --- Addresses of contacts --------------------------------------------------------------------------

VALIDATION_AT_ONCE = env.int("VALIDATION_AT_ONCE", default=64)  # recipients' domains asked about together
VALIDATION_DAYS = env.int("VALIDATION_DAYS", default=30)  # a verdict that old is renewed before the next mail
VALIDATE_EVERY_SECONDS = env.float("VALIDATE_EVERY_SECONDS", default=20)  # whether somebody waits for a verdict
REVALIDATE_EVERY_SECONDS = env.float("REVALIDATE_EVERY_SECONDS", default=600)  # what was unknown, or is old
VERIFIER = env.str("VERIFIER", default="")  # dotted path of an adapter to a paid verifier of addresses; empty: none
VERIFIER_URL = env.str("VERIFIER_URL", default="")
VERIFIER_KEY = env.str("VERIFIER_KEY", default="")
VERIFIER_TENANTS = env.list("VERIFIER_TENANTS", default=[])  # slugs of those whose addresses it may get
VERIFIER_PRICE = env.str("VERIFIER_PRICE", default="0 EUR")  # of one address
VERIFIER_PER_DAY = env.int("VERIFIER_PER_DAY", default=1000)  # addresses of one tenant in a UTC day, and what they
VERIFIER_COST_PER_DAY = env.int("VERIFIER_COST_PER_DAY", default=10)  # may cost, in the currency of the price
VERIFIER_SECONDS = env.int("VERIFIER_SECONDS", default=120)  # of one run

# --- Django --------------------------------------------------------------------------------------------

INSTALLED_APPS = [
    "outreach.apps.OutreachConfig",  # first: its migrate boots the embedded servers
    "outreach.console.apps.ConsoleConfig",
    "unfold.apps.BasicAppConfig",  # the plain "unfold" would replace the admin site and its second factor
    "outreach.console.admin_config.AdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django_otp",
    "django_rq",
    "pgtrigger",
    "pghistory",
    "axes",
    "rest_framework",
    "django_filters",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "tenants",
    "mailboxes",
    "campaigns",
    "deliverability",
]
MIDDLEWARE = [
    "outreach.common.origins.TrustedProxies",  # first: nothing after it believes a stranger's X-Forwarded-...
    "outreach.common.circumstances.Middleware",
    "campaigns.middleware.TrackingHosts",  # before whatever answers a path: there are recipients' pages only
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "outreach.headers.ContentSecurityPolicy",
    "outreach.logs.RequestLog",
    "django.middleware.gzip.GZipMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django_otp.middleware.OTPMiddleware",
    "tenants.middleware.SessionLimits",
    "tenants.middleware.ActorMiddleware",  # after OTP: without a verified second factor the actor may do nothing
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "axes.middleware.AxesMiddleware",  # last: it turns a locked sign-in into 429
]
ROOT_URLCONF = "outreach.urls"
WSGI_APPLICATION = "outreach.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
STATIC_URL = "static/"
STATIC_ROOT = STATE_DIR / "static"
STATICFILES_DIRS = [BASE_DIR / "static"] if (BASE_DIR / "static").is_dir() else []
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
        if DEBUG
        else "whitenoise.storage.CompressedManifestStaticFilesStorage"
    },
}
LANGUAGE_CODE, USE_I18N = "en", True
FORMAT_MODULE_PATH = ["outreach.formats"]
LOCALE_PATHS = [BASE_DIR / "locale"]
TIME_ZONE, USE_TZ = "UTC", True
DATA_UPLOAD_MAX_MEMORY_SIZE = 5 * 2**20
EMAIL_BACKEND = "django.core.mail.backends.dummy.EmailBackend"  # mail leaves through the ledger only

# --- Who signs in ----------------------------------------------------------------------------------------

AUTH_USER_MODEL = "tenants.User"
AUTHENTICATION_BACKENDS = ["axes.backends.AxesStandaloneBackend", "django.contrib.auth.backends.ModelBackend"]
AUTH_PASSWORD_VALIDATORS: list[dict[str, Any]] = [
    {"NAME": f"django.contrib.auth.password_validation.{name}", "OPTIONS": options}
    for name, options in {
        "UserAttributeSimilarityValidator": {},
        "MinimumLengthValidator": {"min_length": 12},
        "CommonPasswordValidator": {},
    }.items()
]
SESSION_IDLE_SECONDS = env.int("SESSION_IDLE_SECONDS", default=3600)  # a session nobody uses ends; to the minute
SESSION_LONGEST_SECONDS = 12 * 3600  # and so does one in use
REAUTH_SECONDS = env.int("REAUTH_SECONDS", default=600)  # how long after a code dangerous acts want no other one
LOGIN_URL = "admin:login"
OTP_TOTP_ISSUER = "Outreach"
AXES_HANDLER = "outreach.console.lockout.Lockout"  # a minute after five wrong tries, then twice as long each time
AXES_FAILURE_LIMIT, AXES_COOLOFF_TIME = 5, 24  # hours until wrong tries are forgotten
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False
AXES_CLIENT_IP_CALLABLE = "outreach.common.origins.place_of"
AXES_USERNAME_FORM_FIELD = "username"  # as the form calls it; by the model's name, email, axes would lock nobody
AXES_RESET_ON_SUCCESS = True
AXES_VERBOSE = False
AXES_LOCKOUT_CALLABLE = "outreach.console.lockout.refusal"

# --- Transport security. INSECURE_HTTP is for a console on loopback, where no certificate can be had: secure
# --- cookies or a redirect to https would lock everybody out there, so exactly those checks are silenced.

BEHIND_PROXY = env.bool("BEHIND_PROXY", default=False)
TRUSTED_PROXIES = env.list("TRUSTED_PROXIES", default=["127.0.0.0/8", "::1"] if BEHIND_PROXY else [])  # networks
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if TRUSTED_PROXIES else None
SECURE_SSL_REDIRECT = not INSECURE_HTTP
SECURE_REDIRECT_EXEMPT = ["^alive$", "^tls/ask$"]  # load balancers and web servers ask in plain http
SECURE_HSTS_SECONDS = 0 if INSECURE_HTTP else 365 * 86400
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = not INSECURE_HTTP
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = not INSECURE_HTTP
SESSION_COOKIE_HTTPONLY = CSRF_COOKIE_HTTPONLY = True  # no script of ours reads either
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
if not INSECURE_HTTP:  # browsers take __Host- from https only, and then from this very host alone
    SESSION_COOKIE_NAME, CSRF_COOKIE_NAME = "__Host-session", "__Host-csrf"
SESSION_ENGINE = "tenants.session_store"  # keys in the database as hashes only
SESSION_COOKIE_AGE = SESSION_LONGEST_SECONDS
CSRF_TRUSTED_ORIGINS = [PUBLIC_URL]
X_FRAME_OPTIONS = "DENY"
if INSECURE_HTTP:
    SILENCED_SYSTEM_CHECKS = ["security.W004", "security.W008", "security.W012", "security.W016"]

LOGGING_CONFIG = "outreach.logs.configure"
LOGGING = {"level": env.str("LOG_LEVEL", default="INFO"), "cache": True}
