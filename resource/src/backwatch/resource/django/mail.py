"""Django's mail over an attached server: ``EMAIL_BACKEND = "backwatch.resource.django.mail.EmailBackend"``."""

from typing import Any

from django.conf import settings
from django.core.mail.backends import smtp

from backwatch.resource.attach import attach


class EmailBackend(smtp.EmailBackend):
    """Attaches the variable that ``MAIL_RESOURCE`` of Django's settings names, by default ``MAIL_URL``."""

    def open(self) -> bool | None:
        """Open a session; return whether a new one was needed.

        Raises:
            ResourceUnsafe: A check refused the server, ``fail_silently`` or not.
        """
        if self.connection:
            return False
        try:
            session: Any = attach(getattr(settings, "MAIL_RESOURCE", "MAIL_URL")).session()
        except OSError:
            if not self.fail_silently:
                raise
            return None
        self.connection = session
        return True
