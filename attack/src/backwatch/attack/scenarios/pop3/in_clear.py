"""A4 on poplib, in an app that takes a refused STLS for a reason to log in in clear."""

from backwatch.attack.scenarios.pop3.stls_hidden import Pop3Hidden


class Pop3InClear(Pop3Hidden):
    """The app catches poplib's exception and goes on: the password is read on the way."""

    notices = "nothing"
    goes_on = True
