"""A6 on imaplib: the client accepts another certificate of the same authority."""

from backwatch.attack.techniques.certificate import CertificateSwapped
from backwatch.attack.techniques.imap import ReadsImap


class ImapSwapped(CertificateSwapped, ReadsImap):
    """imaplib has its context check chain and name, and pins nothing."""
