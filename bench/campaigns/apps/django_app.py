"""Django: settings for the database of a URL, SQLite or PostgreSQL; the views stand in ``django_views``."""

from urllib.parse import urlsplit

import django
from django.conf import settings
from django.core.wsgi import get_wsgi_application

from bench.campaigns.apps.serving import arguments, serve

ENGINES = {"sqlite": "django.db.backends.sqlite3", "postgresql": "django.db.backends.postgresql"}


def configure(url: str) -> None:
    """Set Django up."""
    parts = urlsplit(url)
    database = {"ENGINE": ENGINES[parts.scheme], "NAME": parts.path}
    if parts.scheme != "sqlite":
        database |= {
            "NAME": parts.path[1:], "USER": parts.username or "", "PASSWORD": parts.password or "",
            "HOST": parts.hostname or "", "PORT": str(parts.port or 5432),
        }  # fmt: skip
    settings.configure(
        DATABASES={"default": database}, ROOT_URLCONF="bench.campaigns.apps.django_views", ALLOWED_HOSTS=["*"],
        SECRET_KEY="of a bench", DEBUG=True,
    )  # fmt: skip
    django.setup(set_prefix=False)


if __name__ == "__main__":
    database_url, port = arguments()
    configure(database_url)
    serve(get_wsgi_application(), port)
