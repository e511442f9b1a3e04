"""A site with one app; SQLite, or PostgreSQL by DATABASE_URL."""

import os
from urllib.parse import urlsplit

SECRET_KEY = "for tests alone"
DEBUG = False
ALLOWED_HOSTS = ["*"]
USE_TZ = True
INSTALLED_APPS = ["shop"]
ROOT_URLCONF = "shop.urls"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
parts = urlsplit(os.environ.get("DATABASE_URL", ""))
if parts.scheme == "sqlite":
    DATABASES["default"]["NAME"] = parts.path[1:]
elif parts.scheme:
    DATABASES["default"] = {
        "ENGINE": "django.db.backends.postgresql", "NAME": parts.path[1:], "USER": parts.username or "",
        "PASSWORD": parts.password or "", "HOST": parts.hostname or "", "PORT": str(parts.port or ""),
    }  # fmt: skip
