"""A4 on poplib, in an app that logs in in plaintext when STLS is refused."""

from backwatch.attack.scenarios.pop3.stls_hidden import Pop3Hidden


class Pop3InClear(Pop3Hidden):
    """The app catches poplib's exception and goes on. The password can be read on the network."""

    notices = "nothing"
    goes_on = True
