"""An app that looks customers up in a directory, on ldap3."""

import ssl
from typing import Any

from backwatch.attack.protocols.ldap import BASE, LDAP
from backwatch.attack.scenarios import SECRET
from backwatch.attack.techniques.starttls import UpgradesToTls


class LooksUpCustomers(UpgradesToTls):
    """An app that upgrades its session, binds and searches."""

    driver = "ldap3"
    server = LDAP

    def open_server(self, **options: Any) -> Any:
        """Return the library's description of the server: chain and name of its certificate are checked."""
        import ldap3

        tls = ldap3.Tls(validate=ssl.CERT_REQUIRED, ca_certs_file=self.config.ca_file)
        return ldap3.Server("localhost", self.config.port, tls=tls, get_info=ldap3.NONE, connect_timeout=5, **options)

    def work(self) -> object:
        """Return a customer's address."""
        import ldap3
        from ldap3.core.exceptions import LDAPException

        account = f"cn=shop,{BASE.decode()}"
        connection: Any = ldap3.Connection(self.open_server(), account, SECRET, receive_timeout=5)
        connection.open()
        try:
            with self.upgrading(LDAPException):
                connection.start_tls()
            connection.bind()
            connection.search(BASE.decode(), "(uid=ann)", attributes=["mail"])
            return [str(entry.mail) for entry in connection.entries]
        finally:
            connection.unbind()
