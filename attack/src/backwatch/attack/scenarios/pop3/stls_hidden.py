"""A4 on poplib: the server no longer offers STLS, and the client refuses to go on."""

from backwatch.attack.protocols.pop3 import POP3
from backwatch.attack.techniques.pop3 import ReadsPop3
from backwatch.attack.techniques.starttls import StartTLSHidden


class Pop3Hidden(StartTLSHidden, ReadsPop3):
    """poplib raises if STLS is not offered. The attempt must raise an alert all the same."""

    attack = POP3.attack
