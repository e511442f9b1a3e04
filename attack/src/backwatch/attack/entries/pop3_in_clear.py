"""A4 on poplib, in an app that takes a refused STLS for a reason to log in in clear."""

from backwatch.attack.entries import run
from backwatch.attack.entries.pop3_stls_hidden import Pop3Hidden


class Pop3InClear(Pop3Hidden):
    """The app catches poplib's exception and goes on: the password is read on the way."""

    notices = "nothing"
    goes_on = True


if __name__ == "__main__":
    run(Pop3InClear)
