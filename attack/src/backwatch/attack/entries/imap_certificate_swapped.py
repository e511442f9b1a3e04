"""A6 on imaplib: another certificate is taken for the old one's equal."""

from backwatch.attack.entries import run
from backwatch.attack.entries._certificate import CertificateSwapped
from backwatch.attack.entries.imap_starttls_hidden import ImapHidden
from backwatch.attack.protocols.imap import IMAP


class ImapSwapped(CertificateSwapped, ImapHidden):
    """imaplib has its context check chain and name, and remembers nothing."""

    honest = IMAP


if __name__ == "__main__":
    run(ImapSwapped)
