"""An app that looks into a mailbox, on imaplib."""

from typing import Any

from backwatch.attack.protocols.imap import IMAP
from backwatch.attack.scenarios import SECRET
from backwatch.attack.techniques.starttls import UpgradesToTls


class ReadsImap(UpgradesToTls):
    """An app that upgrades its session, logs in and searches."""

    driver = "imaplib"
    server = IMAP

    def work(self) -> object:
        """Look for new mails."""
        import imaplib

        with imaplib.IMAP4("localhost", self.config.port, timeout=5) as box:
            with self.upgrading(imaplib.IMAP4.error):
                box.starttls(self.tls_context())
            self.log_in(box)
            box.select("INBOX", readonly=True)
            return repr(box.search(None, "UNSEEN")[1])

    def log_in(self, box: Any) -> None:
        """Log in by the password."""
        box.login("shop", SECRET)
