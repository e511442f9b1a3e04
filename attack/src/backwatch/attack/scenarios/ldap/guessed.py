"""B10 on ldap3: visitors log in with their directory password, and an attacker guesses some."""

from backwatch.attack.authority import Authority
from backwatch.attack.protocols.ldap import BASE, LDAP
from backwatch.attack.scenarios import SECRET
from backwatch.attack.techniques.ldap import LooksUpCustomers
from backwatch.attack.techniques.refused_logins import Guessed


class _Checking(LDAP):
    def __init__(self, authority: Authority) -> None:
        super().__init__(authority, at_once=True)

    def lets_in(self, secret: bytes) -> bool:
        return secret == SECRET.encode()


class LdapGuessed(Guessed, LooksUpCustomers):
    """The directory responds invalidCredentials to each."""

    server = _Checking

    def log_in(self, password: str) -> None:
        """Log in, and look up a customer."""
        import ldap3

        with ldap3.Connection(
            self.open_server(use_ssl=True), f"uid=ann,{BASE.decode()}", password, auto_bind=ldap3.AUTO_BIND_NO_TLS,
            raise_exceptions=True, receive_timeout=5,
        ) as connection:  # fmt: skip
            connection.search(BASE.decode(), "(uid=ann)", attributes=["mail"])  # pyright: ignore[reportUnknownMemberType]
