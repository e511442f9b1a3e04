"""A6 on imaplib: the client accepts another certificate of the same authority."""

from backwatch.attack.protocols.imap import IMAP
from backwatch.attack.scenarios.imap.starttls_hidden import ImapHidden
from backwatch.attack.techniques.certificate import CertificateSwapped


class ImapSwapped(CertificateSwapped, ImapHidden):
    """imaplib has its context check chain and name, and pins nothing."""

    honest = IMAP
