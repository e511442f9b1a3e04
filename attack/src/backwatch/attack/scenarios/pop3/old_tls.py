"""A8 on poplib: a context for an old mail server accepts TLS 1.1 from any server."""

from backwatch.attack.techniques.old_tls import OldTls
from backwatch.attack.techniques.pop3 import ReadsPop3


class Pop3OldTls(OldTls, ReadsPop3):
    """poplib uses the context as it is; chain and name are checked."""
