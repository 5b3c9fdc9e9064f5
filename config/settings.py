"""Every setting, read from the environment. `config.env` says what is wrong with a bad one."""

from pathlib import Path
from typing import Any

from csp.constants import NONE, SELF
from django.urls import reverse_lazy

from config import env

ROOT = Path(__file__).resolve().parent.parent
STATE_DIR = env.path("STATE_DIR", ROOT / ".corbel")

# --- Security

SECRET_KEY = env.text("SECRET_KEY")
DEBUG = env.flag("DEBUG", False)
ALLOWED_HOSTS = env.words("ALLOWED_HOSTS", ("localhost", "127.0.0.1", "[::1]"))
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
    "channels",
    "csp",
    "django_htmx",
    "django_vite",
]
INSTALLED_APPS = SHARED_APPS

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "apps.tenants.middleware.WorkspaceMiddleware",  # from here on URLs are the workspace's own
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "allauth.account.middleware.AccountMiddleware",
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
            ],
        },
    }
]

# --- Database: web and workers are the role `corbel_app`, which row-level security binds.

POOL_SIZE = env.integer("DATABASE_POOL_SIZE", 16, at_least=2)


def connection(parameters: dict[str, Any]) -> dict[str, Any]:
    # The pool keeps connections across the short-lived threads an ASGI server runs views in.
    options = {**parameters["OPTIONS"], "pool": {"min_size": 1, "max_size": POOL_SIZE, "timeout": 15}}
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

# --- Redis: streams of answers, stop signals, the task queue

REDIS_URL = env.redis("REDIS_URL")
CELERY_BROKER_URL = REDIS_URL
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_TRANSPORT_OPTIONS = {"visibility_timeout": 900}

# --- Accounts

AUTH_USER_MODEL = "tenants.User"
AUTHENTICATION_BACKENDS = ["allauth.account.auth_backends.AuthenticationBackend"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "/workspaces/"
LOGOUT_REDIRECT_URL = "/"
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*"]
ACCOUNT_FORMS = {"signup": "apps.tenants.forms.SignupForm"}
ACCOUNT_ADAPTER = "apps.tenants.accounts.AccountAdapter"
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_USER_MODEL_EMAIL_FIELD = "email"
ACCOUNT_EMAIL_VERIFICATION = env.choice("EMAIL_VERIFICATION", "optional", ("none", "optional", "mandatory"))
ACCOUNT_SESSION_REMEMBER = True
ACCOUNT_EMAIL_SUBJECT_PREFIX = ""
ACCOUNT_LOGOUT_ON_GET = False

EMAIL_BACKEND = env.text("EMAIL_BACKEND", "django.core.mail.backends.console.EmailBackend")
EMAIL_HOST = env.text("EMAIL_HOST", "localhost")
EMAIL_PORT = env.integer("EMAIL_PORT", 25)
EMAIL_HOST_USER = env.text("EMAIL_HOST_USER", "")
EMAIL_HOST_PASSWORD = env.text("EMAIL_HOST_PASSWORD", "")
EMAIL_USE_TLS = env.flag("EMAIL_USE_TLS", False)
DEFAULT_FROM_EMAIL = env.text("DEFAULT_FROM_EMAIL", "Corbel <hello@localhost>")

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
MAX_OUTPUT_TOKENS = env.integer("MAX_OUTPUT_TOKENS", 1200, at_least=16)

# --- Language, time, logs

LANGUAGE_CODE = "en-gb"
TIME_ZONE = "UTC"
USE_TZ = True

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "{asctime} {levelname} {name} {message}", "style": "{"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["console"], "level": env.choice("LOG_LEVEL", "INFO", ("DEBUG", "INFO", "WARNING", "ERROR"))},
    "loggers": {"httpx2": {"level": "WARNING"}, "httpx": {"level": "WARNING"}},
}

# --- The platform's admin, in the pages' green

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


def page_of_admin(title: str, icon: str, model: str) -> dict[str, Any]:
    return {"title": title, "icon": icon, "link": reverse_lazy(f"admin:{model}_changelist")}


UNFOLD = {
    "SITE_TITLE": "Corbel platform",
    "SITE_HEADER": "Corbel platform",
    "SITE_SYMBOL": "domain",
    "SITE_URL": "/workspaces/",
    "SHOW_HISTORY": False,
    "BORDER_RADIUS": "6px",
    "COLORS": {"primary": GREENS},
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
                "title": "Models",
                "items": [
                    page_of_admin("Runs", "monitoring", "runs_run"),
                    page_of_admin("Prices", "sell", "runs_modelprice"),
                    page_of_admin("Prompt versions", "article", "prompts_promptversion"),
                ],
            },
        ],
    },
}
