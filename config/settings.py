"""Every setting, read from the environment. `config.env` says what is wrong with a bad one."""

from pathlib import Path
from typing import Any

from csp.constants import NONE, SELF
from django.urls import reverse_lazy
from kombu import Exchange, Queue

from config import env, queues

ROOT = Path(__file__).resolve().parent.parent
STATE_DIR = env.path("STATE_DIR", ROOT / ".corbel")

# --- Security

SECRET_KEY = env.text("SECRET_KEY")
SECRET_KEY_FALLBACKS = env.words("SECRET_KEY_FALLBACKS")  # keys before this one: second factors are encrypted with it
DEBUG = env.flag("DEBUG", False)
HOSTS = env.hosts("ALLOWED_HOSTS", ("localhost", "127.0.0.1", "[::1]"))
ALLOWED_HOSTS = ["*"]  # apps.tenants.hosts refuses strangers' names: workspaces have names of their own, too
CSRF_TRUSTED_ORIGINS = env.origins("CSRF_TRUSTED_ORIGINS")
PUBLIC_URL = env.url("PUBLIC_URL", "http://localhost:8000")

HTTPS = PUBLIC_URL.startswith("https://")
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS
BEHIND_PROXY = env.flag("BEHIND_PROXY", False)
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if BEHIND_PROXY else None
SECURE_HSTS_SECONDS = env.integer("HSTS_SECONDS", 0)
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"

CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF, "data:"],
        "font-src": [SELF],
        "connect-src": [SELF],
        "form-action": [SELF],
        "base-uri": [NONE],
        "frame-ancestors": [NONE],
    }
}

# --- Applications. Apps with tenant content stand in both lists: the pool lives in `public`, and a tenant
# promoted to a silo has the same tables in a schema of its own.

TENANT_APPS = ["apps.knowledge", "apps.chat"]
SHARED_APPS = [
    "django.contrib.contenttypes",
    "django.contrib.auth",
    "apps.tenants",  # before django_tenants: its `migrate` runs as the owner role
    "apps.prompts",
    "apps.runs",
    "apps.billing",
    *TENANT_APPS,
    "django_tenants",
    "unfold.apps.BasicAppConfig",
    "config.apps.PlatformAdminConfig",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "django.contrib.postgres",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "allauth.socialaccount",
    "allauth.socialaccount.providers.github",
    "allauth.socialaccount.providers.google",
    "allauth.usersessions",
    "channels",
    "csp",
    "django_htmx",
    "django_vite",
]
INSTALLED_APPS = SHARED_APPS

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "apps.tenants.hosts.HostMiddleware",  # from here on the host is one of ours
    "csp.middleware.CSPMiddleware",
    "apps.tenants.hosts.HostSessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "apps.tenants.middleware.WorkspaceMiddleware",  # from here on URLs are the workspace's own
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "apps.tenants.sessions.SessionSeenMiddleware",
]

ROOT_URLCONF = "config.urls"
WORKSPACE_URLCONF = "config.workspace_urls"
ASGI_APPLICATION = "config.asgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [ROOT / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "apps.tenants.context_processors.workspace",
                "apps.runs.context_processors.models",
                "apps.runs.context_processors.budgets",
                "apps.billing.context_processors.billing",
            ],
        },
    }
]

# --- Database: web and workers are the role `corbel_app`, which row-level security binds.

POOL_SIZE = env.integer("DATABASE_POOL_SIZE", 16, at_least=2)
POOLER = env.choice("DATABASE_POOLER", "none", ("none", "transaction"))  # what stands between us and Postgres


def connection(parameters: dict[str, Any]) -> dict[str, Any]:
    # The pool keeps connections across the short-lived threads an ASGI server runs views in.
    pool = {"min_size": 1, "max_size": POOL_SIZE, "timeout": 15}
    options = {**parameters["OPTIONS"], "pool": pool, "transaction_pooler": POOLER == "transaction"}
    return {
        **parameters,
        "ENGINE": "apps.tenants.backend",
        "OPTIONS": options,
        "DISABLE_SERVER_SIDE_CURSORS": True,
    }


DATABASES = {"default": connection(env.database("DATABASE_URL"))}
if platform := env.database("DATABASE_PLATFORM_URL", None):
    # Sees every tenant: the platform's own admin and jobs, nothing else.
    DATABASES["platform"] = connection(platform)
DATABASE_OWNER = env.database("DATABASE_OWNER_URL", None)  # used by `migrate` alone

DATABASE_ROUTERS = ["django_tenants.routers.TenantSyncRouter"]
TENANT_MODEL = "tenants.Tenant"
TENANT_DOMAIN_MODEL = "tenants.Domain"
GET_EXECUTOR_FUNCTION = "apps.tenants.migrate.silos_only"

# --- Redis: streams of answers, stop signals, the task queue, rate limits

REDIS_URL = env.redis("REDIS_URL")
CACHES = {"default": {"BACKEND": "config.cache.SharedCache", "LOCATION": [REDIS_URL], "KEY_PREFIX": "cache"}}
CELERY_BROKER_URL = REDIS_URL
CELERY_BROKER_TRANSPORT = "config.fair.transport:Transport"
CELERY_TASK_QUEUES = [Queue(name, Exchange(name), routing_key=name) for name in queues.ALL]
CELERY_TASK_DEFAULT_QUEUE = queues.INTERACTIVE
CELERY_TASK_CREATE_MISSING_QUEUES = False
CELERY_TASK_ROUTES = {task: {"queue": queue} for queue, tasks in queues.TASKS.items() for task in tasks}
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BEAT_SCHEDULE = {
    task: {"task": task, "schedule": seconds, "options": {"expires": seconds}}
    for task, seconds in queues.EVERY_S.items()
}
CELERY_RESULT_BACKEND = REDIS_URL  # of the tasks alone that ask for it, as a chord does
CELERY_RESULT_EXPIRES = 3600

# --- Accounts

AUTH_USER_MODEL = "tenants.User"
SILENCED_SYSTEM_CHECKS = ["auth.W004"]  # an address is unique in any case, by a constraint that the check doesn't see
AUTHENTICATION_BACKENDS = ["allauth.account.auth_backends.AuthenticationBackend"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "/workspaces/"
LOGOUT_REDIRECT_URL = "/"
ACCOUNT_ADAPTER = "apps.tenants.accounts.AccountAdapter"
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*"]
ACCOUNT_FORMS = {"signup": "apps.tenants.forms.SignupForm"}
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_USER_MODEL_EMAIL_FIELD = "email"
# Signing in and resetting a password never tell whether an address has an account. Signing up tells it, unless the
# confirmation of addresses is mandatory: then a mail says it to whoever owns the address.
ACCOUNT_EMAIL_VERIFICATION = env.choice("EMAIL_VERIFICATION", "optional", ("none", "optional", "mandatory"))
ACCOUNT_LOGIN_ON_EMAIL_CONFIRMATION = True  # in the browser that signed up, so that it goes on where it was going
ACCOUNT_EMAIL_NOTIFICATIONS = True  # of a new password, second factor, address or connection
ACCOUNT_REAUTHENTICATION_REQUIRED = True  # before such a change
ACCOUNT_SESSION_REMEMBER = True
ACCOUNT_EMAIL_SUBJECT_PREFIX = ""
ACCOUNT_LOGOUT_ON_GET = False
ACCOUNT_RATE_LIMITS = {  # of what is sent, not of pages that are looked at; `key` is the e-mail address
    "login": "30/m/ip",
    "login_failed": "10/m/ip,5/5m/key",  # wrong passwords, and wrong codes of one user
    "signup": "20/m/ip",
    "reset_password": "20/m/ip,5/h/key",
    "reset_password_from_key": "20/m/ip",
    "reauthenticate": "10/m/user",
    "change_password": "5/m/user",
    "manage_email": "10/m/user",
    "confirm_email": "1/3m/key",
    "api_key": "30/m/ip",  # keys that count nowhere
}

MFA_ADAPTER = "apps.tenants.authenticators.MFAAdapter"
MFA_SUPPORTED_TYPES = ["totp", "webauthn", "recovery_codes"]
MFA_PASSKEY_LOGIN_ENABLED = True
MFA_TOTP_ISSUER = "Corbel"
MFA_TOTP_TOLERANCE = 1  # steps of 30 seconds that a clock may be off
MFA_FORMS = {
    "authenticate": "apps.tenants.authenticators.AuthenticateForm",
    "reauthenticate": "apps.tenants.authenticators.ReauthenticateForm",
    "activate_totp": "apps.tenants.authenticators.ActivateForm",
    "add_webauthn": "apps.tenants.authenticators.AddPasskeyForm",
}


def social_app(name: str) -> dict[str, Any]:
    """Of a provider; its button is shown where both its variables are set."""
    client_id, secret = env.together(f"{name}_CLIENT_ID", f"{name}_CLIENT_SECRET")
    return {"OAUTH_PKCE_ENABLED": True} | ({"APP": {"client_id": client_id, "secret": secret}} if client_id else {})


SOCIALACCOUNT_ADAPTER = "apps.tenants.accounts.SocialAccountAdapter"
SOCIALACCOUNT_EMAIL_AUTHENTICATION = False  # an address that a provider vouches for opens no account by itself
SOCIALACCOUNT_PROVIDERS = {"google": social_app("GOOGLE"), "github": social_app("GITHUB")}
PROVIDER_ORIGINS = {"google": "https://accounts.google.com", "github": "https://github.com"}
if GITHUB_URL := env.url("GITHUB_URL"):  # a GitHub Enterprise server
    SOCIALACCOUNT_PROVIDERS["github"]["GITHUB_URL"] = PROVIDER_ORIGINS["github"] = GITHUB_URL
# The form behind a button is sent to us and redirected there: browsers hold both against the policy.
CONTENT_SECURITY_POLICY["DIRECTIVES"]["form-action"] += [
    PROVIDER_ORIGINS[name] for name, provider in SOCIALACCOUNT_PROVIDERS.items() if "APP" in provider
]

SESSION_ENGINE = "apps.tenants.session_store"
INVITATION_DAYS = env.integer("INVITATION_DAYS", 7, at_least=1)

EMAIL_BACKEND = env.text("EMAIL_BACKEND", "django.core.mail.backends.console.EmailBackend")
EMAIL_HOST = env.text("EMAIL_HOST", "localhost")
EMAIL_PORT = env.integer("EMAIL_PORT", 25)
EMAIL_HOST_USER = env.text("EMAIL_HOST_USER", "")
EMAIL_HOST_PASSWORD = env.text("EMAIL_HOST_PASSWORD", "")
EMAIL_USE_TLS = env.flag("EMAIL_USE_TLS", False)
EMAIL_TIMEOUT = 10  # seconds; whoever pressed the button waits for it
DEFAULT_FROM_EMAIL = env.text("DEFAULT_FROM_EMAIL", "Corbel <hello@localhost>")

# --- Custom domains

DNS_SERVERS = env.servers("DNS_SERVERS")  # empty: the ones that this machine asks

# --- Files

STATIC_URL = "/static/"
STATIC_ROOT = env.path("STATIC_ROOT", STATE_DIR / "staticfiles")
STATICFILES_DIRS = [ROOT / "static"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedStaticFilesStorage"},
}
# Vite puts a hash into the names of what it builds; until `collectstatic` ran, files are served where they lie.
WHITENOISE_IMMUTABLE_FILE_TEST = r"^/static/dist/assets/"
WHITENOISE_USE_FINDERS = not STATIC_ROOT.is_dir()
MEDIA_ROOT = env.path("MEDIA_ROOT", STATE_DIR / "media")  # never served by URL: views check who asks
MEDIA_URL = "/media-is-not-served/"
DJANGO_VITE = {
    "default": {"manifest_path": ROOT / "static/dist/.vite/manifest.json", "static_url_prefix": "dist"},
}
MAX_UPLOAD_MB = env.integer("MAX_UPLOAD_MB", 25, at_least=1)
DATA_UPLOAD_MAX_NUMBER_FILES = 50

# --- Models. Without a provider key the offline answerer quotes the documents.

MINILM_DIR = env.path("MINILM_DIR", STATE_DIR / "models" / "minilm")
OPENAI_API_KEY = env.text("OPENAI_API_KEY", "")
OPENAI_BASE_URL = env.url("OPENAI_BASE_URL")
OPENAI_MODEL = env.text("OPENAI_MODEL", "gpt-5-mini")
ANTHROPIC_API_KEY = env.text("ANTHROPIC_API_KEY", "")
ANTHROPIC_BASE_URL = env.url("ANTHROPIC_BASE_URL")
ANTHROPIC_MODEL = env.text("ANTHROPIC_MODEL", "claude-haiku-4-5")
PROVIDERS = env.providers("PROVIDERS")  # further ones, by name
PASSAGES_PER_ANSWER = env.integer("PASSAGES_PER_ANSWER", 6, at_least=1)  # where a workspace says nothing else
MAX_OUTPUT_TOKENS = env.integer("MAX_OUTPUT_TOKENS", 1200, at_least=16)

# --- Plans and payments: docs/billing.md

STRIPE_SECRET_KEY = env.text("STRIPE_SECRET_KEY", "")
STRIPE_WEBHOOK_SECRETS = env.words("STRIPE_WEBHOOK_SECRETS")  # the endpoint's, and the one before it while that rolls
STRIPE_API_URL = env.url("STRIPE_API_URL")  # a server that speaks its API, for tests; empty: Stripe's own
STRIPE_AUTOMATIC_TAX = env.flag("STRIPE_AUTOMATIC_TAX", False)
# off: no plans, nothing limited, nobody charged. local: plans take effect at once, nobody charged. stripe: people pay.
BILLING = env.choice("BILLING", "stripe" if STRIPE_SECRET_KEY else "off", ("off", "local", "stripe"))
# Where people pay and look after their cards; another name, if Checkout has a domain of your own.
STRIPE_PAGES = env.origins("STRIPE_PAGES") or ["https://checkout.stripe.com", "https://billing.stripe.com"]
if BILLING == "stripe":  # a form of ours is sent to us and redirected there: browsers hold both against the policy
    CONTENT_SECURITY_POLICY["DIRECTIVES"]["form-action"] += STRIPE_PAGES

# --- Keys that workspaces bring, and what they are sealed with: apps.tenants.vault

MASTER_KEY_FILE = env.path("MASTER_KEY_FILE", STATE_DIR / "master.key")
MASTER_KEY = env.text("MASTER_KEY", f"file://{MASTER_KEY_FILE}")
MASTER_KEY_FALLBACKS = env.words("MASTER_KEY_FALLBACKS")
# Names, as host or host:port, that a workspace's own server may have though they lead into our own network.
PRIVATE_PROVIDER_HOSTS = [host.lower() for host in env.words("PRIVATE_PROVIDER_HOSTS")]

# --- Language, time, logs

LANGUAGE_CODE = "en-gb"
TIME_ZONE = "UTC"
USE_TZ = True

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "{asctime} {levelname} {name} {message}", "style": "{"}},
    "filters": {"secrets": {"()": "config.logs.HideSecrets"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line", "filters": ["secrets"]}},
    "root": {"handlers": ["console"], "level": env.choice("LOG_LEVEL", "INFO", ("DEBUG", "INFO", "WARNING", "ERROR"))},
    "loggers": {name: {"level": "WARNING"} for name in ("httpx2", "httpcore2", "httpx", "stripe")},
}
DEFAULT_EXCEPTION_REPORTER = "config.error_report.Reporter"
DEFAULT_EXCEPTION_REPORTER_FILTER = "config.error_report.ReporterFilter"

# --- The admin of the platform, and that of each workspace, in the pages' green

GREENS = {
    "50": "#eef7f4",
    "100": "#d7ebe5",
    "200": "#b0d8cc",
    "300": "#7fbfad",
    "400": "#4aa28c",
    "500": "#1f8571",
    "600": "#0e6a59",
    "700": "#0b5648",
    "800": "#0a453b",
    "900": "#083830",
    "950": "#03201b",
}
STONES = {
    "50": "#faf8f3",
    "100": "#f1ede4",
    "200": "#e2dccf",
    "300": "#c9c0af",
    "400": "#a0978a",
    "500": "#7d7467",
    "600": "#696153",
    "700": "#4f483e",
    "800": "#2a2622",
    "900": "#1c1a17",
    "950": "#161412",
}


def page_of_admin(title: str, icon: str, model: str) -> dict[str, Any]:
    return {"title": title, "icon": icon, "link": reverse_lazy(f"admin:{model}_changelist")}


LOOKS = {
    "SHOW_HISTORY": False,
    "BORDER_RADIUS": "6px",
    "COLORS": {"primary": GREENS, "base": STONES},
    "ACCOUNT": {"navigation": [{"title": "Your account", "link": "config.admin.account"}]},
}
UNFOLD = {
    **LOOKS,
    "SITE_TITLE": "Corbel platform",
    "SITE_HEADER": "Corbel platform",
    "SITE_SYMBOL": "domain",
    "SITE_URL": "/workspaces/",
    "SIDEBAR": {
        "navigation": [
            {
                "title": "Who",
                "items": [
                    page_of_admin("Workspaces", "domain", "tenants_tenant"),
                    page_of_admin("Users", "person", "tenants_user"),
                    page_of_admin("Memberships", "group", "tenants_membership"),
                ],
            },
            {
                "title": "Background work",
                "items": [
                    {"title": "Queues", "icon": "stacks", "link": reverse_lazy("admin:queues")},
                    page_of_admin("Given up", "mail_off", "tenants_deadletter"),
                ],
            },
            {
                "title": "Money",
                "items": [
                    page_of_admin("Subscriptions", "credit_card", "billing_subscription"),
                    page_of_admin("Meter events", "speed", "billing_meterevent"),
                    page_of_admin("Stripe events", "webhook", "billing_stripeevent"),
                ],
            },
            {
                "title": "Models",
                "items": [
                    page_of_admin("Runs", "monitoring", "runs_run"),
                    page_of_admin("Budgets", "savings", "runs_budget"),
                    page_of_admin("Prices", "sell", "runs_modelprice"),
                    page_of_admin("Routes", "alt_route", "runs_modelroute"),
                    page_of_admin("Policies", "tune", "runs_policy"),
                    {"title": "Circuits", "icon": "electrical_services", "link": reverse_lazy("admin:circuits")},
                    page_of_admin("Switches", "toggle_off", "tenants_flag"),
                    page_of_admin("Prompt versions", "article", "prompts_promptversion"),
                ],
            },
        ],
    },
}
UNFOLD_WORKSPACE = {
    **LOOKS,
    "SITE_TITLE": "config.admin.workspace_name",
    "SITE_HEADER": "config.admin.workspace_name",
    "SITE_SUBHEADER": "Workspace admin",
    "SITE_SYMBOL": "domain",
    "SITE_URL": reverse_lazy("chat:home"),
    "SIDEBAR": {
        "navigation": [
            {
                "title": "Who",
                "items": [
                    page_of_admin("Members", "group", "tenants_membership"),
                    page_of_admin("Invitations", "mail", "tenants_invitation"),
                    page_of_admin("Audit log", "history", "tenants_auditevent"),
                ],
            },
            {
                "title": "What",
                "items": [
                    page_of_admin("Documents", "description", "knowledge_document"),
                    page_of_admin("Runs", "monitoring", "runs_run"),
                    page_of_admin("Budgets", "savings", "runs_budget"),
                    page_of_admin("Given up", "mail_off", "tenants_deadletter"),
                ],
            },
            {
                "title": "How",
                "items": [
                    page_of_admin("Prompts", "chat", "prompts_prompt"),
                    page_of_admin("Prompt versions", "article", "prompts_promptversion"),
                    page_of_admin("Routes", "alt_route", "runs_modelroute"),
                    page_of_admin("Policy", "tune", "runs_policy"),
                    page_of_admin("Provider keys", "key", "tenants_providerkey"),
                    page_of_admin("Switches", "toggle_off", "tenants_flag"),
                    page_of_admin("Domains", "language", "tenants_domain"),
                ],
            },
            {
                "items": [
                    {"title": "Settings", "icon": "settings", "link": reverse_lazy("workspace:settings")},
                    {
                        "title": "Back to the workspace",
                        "icon": "arrow_back",
                        "link": reverse_lazy("chat:home"),
                        "active": False,  # its address begins every other
                    },
                ],
                "separator": True,
            },
        ],
    },
}
