"""A8 on smtplib: a context for an old mail server accepts TLS 1.1 from any server."""

from backwatch.attack.techniques.old_tls import OldTls
from backwatch.attack.techniques.smtp import SendsMail


class SmtpOldTls(OldTls, SendsMail):
    """smtplib uses the context as it is; chain and name are checked."""
