"""A4 on poplib: the server no longer offers STLS, and the client refuses to go on."""

from backwatch.attack.protocols.pop3 import POP3
from backwatch.attack.scenarios import SECRET
from backwatch.attack.techniques.starttls import StartTLSHidden


class Pop3Hidden(StartTLSHidden):
    """poplib raises if STLS is not offered. The attempt must raise an alert all the same."""

    attack = POP3.attack
    driver = "poplib"
    speaker = POP3
    notices = "an exception, as from a server that is badly set up"

    def visit(self) -> object:
        """Count the mails."""
        import poplib
        import ssl
        from contextlib import closing

        context = ssl.create_default_context(cafile=self.config.ca_file)
        with closing(poplib.POP3("localhost", self.config.port, timeout=5)) as mailbox:
            with self.upgrading(poplib.error_proto):
                mailbox.stls(context)
            mailbox.user("shop")
            mailbox.pass_(SECRET)
            count, _ = mailbox.stat()
            mailbox.quit()
        return count
