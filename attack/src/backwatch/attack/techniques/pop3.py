"""An app that looks into a mailbox, on poplib."""

from contextlib import closing
from typing import Any

from backwatch.attack.protocols.pop3 import POP3
from backwatch.attack.scenarios import SECRET
from backwatch.attack.techniques.starttls import UpgradesToTls


class ReadsPop3(UpgradesToTls):
    """An app that upgrades its session, logs in and counts."""

    driver = "poplib"
    server = POP3

    def work(self) -> object:
        """Return the number and the size of the mails."""
        import poplib

        with closing(poplib.POP3("localhost", self.config.port, timeout=5)) as box:
            with self.upgrading(poplib.error_proto):
                box.stls(context=self.tls_context())
            self.log_in(box)
            found = box.stat()
            box.quit()
        return found

    def log_in(self, box: Any) -> None:
        """Log in by the password."""
        box.user("shop")
        box.pass_(SECRET)
