"""A6 on imaplib: another certificate is taken for the old one's equal."""

from backwatch.attack.protocols.imap import IMAP
from backwatch.attack.scenarios.imap.starttls_hidden import ImapHidden
from backwatch.attack.techniques.certificate import CertificateSwapped


class ImapSwapped(CertificateSwapped, ImapHidden):
    """imaplib has its context check chain and name, and remembers nothing."""

    honest = IMAP
