"""A4 on imaplib: the server no longer offers STARTTLS, and the client refuses to go on."""

from backwatch.attack.techniques.imap import ReadsImap
from backwatch.attack.techniques.starttls import StartTLSHidden


class ImapHidden(StartTLSHidden, ReadsImap):
    """imaplib raises if STARTTLS is not offered. The attempt must raise an alert all the same."""
