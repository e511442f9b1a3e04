"""A4 on imaplib: the server no longer offers STARTTLS, and the client refuses to go on."""

from backwatch.attack.protocols.imap import IMAP
from backwatch.attack.scenarios import SECRET
from backwatch.attack.techniques.starttls import StartTLSHidden


class ImapHidden(StartTLSHidden):
    """imaplib raises if STARTTLS is not offered. The attempt must raise an alert all the same."""

    driver = "imaplib"
    speaker = IMAP
    notices = "an exception, as from a server that is badly set up"

    def visit(self) -> object:
        """Count the mails."""
        import imaplib
        import ssl

        context = ssl.create_default_context(cafile=self.config.ca_file)
        with imaplib.IMAP4("localhost", self.config.port, timeout=5) as mailbox:
            with self.upgrading(imaplib.IMAP4.error):
                mailbox.starttls(context)
            mailbox.login("shop", SECRET)
            mailbox.select("INBOX", readonly=True)
            return len(mailbox.search(None, "ALL")[1])
