"""B10 on ldap3: visitors log in with their directory password, and an attacker guesses some."""

from backwatch.attack.authority import Authority
from backwatch.attack.protocols.ldap import BASE, LDAP
from backwatch.attack.protocols.server import HostileServer
from backwatch.attack.scenarios import SECRET
from backwatch.attack.techniques.refused_logins import Guessed


class _Checking(LDAP):
    def lets_in(self, secret: bytes) -> bool:
        return secret == SECRET.encode()


class LdapGuessed(Guessed):
    """The directory responds invalidCredentials to each."""

    driver = "ldap3"

    @classmethod
    def service(cls, authority: Authority) -> HostileServer:
        """Return a server that checks the password, with TLS from the first byte."""
        return _Checking(authority, at_once=True)

    def log_in(self, password: str) -> None:
        """Log in, and look up a customer."""
        import ssl

        import ldap3

        tls = ldap3.Tls(validate=ssl.CERT_REQUIRED, ca_certs_file=self.config.ca_file)
        server = ldap3.Server(
            "localhost", self.config.port, use_ssl=True, tls=tls, get_info=ldap3.NONE, connect_timeout=5
        )
        with ldap3.Connection(
            server, f"uid=ann,{BASE.decode()}", password, auto_bind=ldap3.AUTO_BIND_NO_TLS, raise_exceptions=True,
            receive_timeout=5,
        ) as connection:  # fmt: skip
            connection.search(BASE.decode(), "(uid=ann)", attributes=["mail"])  # pyright: ignore[reportUnknownMemberType]
