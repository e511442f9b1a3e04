"""A4 on imaplib, in an app that logs in in plaintext when STARTTLS is refused."""

from backwatch.attack.scenarios.imap.starttls_hidden import ImapHidden


class ImapInClear(ImapHidden):
    """The app catches imaplib's exception and goes on. The password can be read on the network."""

    notices = "nothing"
    goes_on = True
