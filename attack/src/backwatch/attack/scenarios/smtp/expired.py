"""A7 on smtplib: a context that ignores dates accepts an expired certificate."""

from backwatch.attack.techniques.expired import ShowsExpired
from backwatch.attack.techniques.smtp import SendsMail


class SmtpExpired(ShowsExpired, SendsMail):
    """smtplib uses the context as it is; chain and name are checked."""
