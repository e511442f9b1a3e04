"""B3: without TLS the driver sends the password itself when the server refuses the proof."""

from backwatch.attack.clients.mysql_connector import MySQLConnector
from backwatch.attack.protocols.server import SECRET
from backwatch.attack.scenarios import Run
from backwatch.attack.techniques.mysql_tls import ForgetsTls, TlsStrippingMySQL, WantsPassword


class FullLogin(WantsPassword, TlsStrippingMySQL):
    """Offers no TLS and refuses the proof, once hostile."""


class WholePassword(ForgetsTls):
    """The password arrives in plaintext."""

    code = "B3"
    attack = "hides that it supports TLS, and asks for the whole of the password"
    reference = "https://dev.mysql.com/doc/refman/8.4/en/caching-sha2-pluggable-authentication.html"
    server = FullLogin
    captures = SECRET.encode()
    runs = (Run(MySQLConnector, "connector"),)
