"""A4 on imaplib, in an app that takes a refused STARTTLS for a reason to log in in clear."""

from backwatch.attack.scenarios.imap.starttls_hidden import ImapHidden


class ImapInClear(ImapHidden):
    """The app catches imaplib's exception and goes on: the password is read on the way."""

    notices = "nothing"
    goes_on = True
