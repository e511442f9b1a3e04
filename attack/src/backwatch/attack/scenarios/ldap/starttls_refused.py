"""A4 on ldap3: the server refuses StartTLS, and the client stops."""

from typing import Any

from backwatch.attack.authority import Authority
from backwatch.attack.protocols.ldap import BASE, LDAP
from backwatch.attack.protocols.server import HostileServer
from backwatch.attack.scenarios import SECRET
from backwatch.attack.techniques.starttls import StartTLSHidden


class LdapRefused(StartTLSHidden):
    """ldap3 raises if StartTLS is refused. The attempt must raise an alert all the same."""

    attack = "refuses StartTLS, and takes logins in clear"
    driver = "ldap3"
    notices = "an exception, as from a server that is badly set up"

    @classmethod
    def service(cls, authority: Authority) -> HostileServer:
        """Return the server, which records all sessions once hostile: they are plaintext."""
        service = LDAP(authority)
        service.refuses_tls = True
        service.taken = lambda data: service.kept.append(data) if service.hostile else None
        return service

    def visit(self) -> object:
        """Look up a customer."""
        import ssl

        import ldap3
        from ldap3.core.exceptions import LDAPException

        tls = ldap3.Tls(validate=ssl.CERT_REQUIRED, ca_certs_file=self.config.ca_file)
        server = ldap3.Server("localhost", port=self.config.port, tls=tls, get_info=ldap3.NONE, connect_timeout=5)
        connection: Any = ldap3.Connection(server, f"cn=shop,{BASE.decode()}", SECRET, receive_timeout=5)
        connection.open()
        try:
            with self.upgrading(LDAPException):
                connection.start_tls()
            connection.bind()
            connection.search(BASE.decode(), "(uid=ann)", attributes=["mail"])
            return [str(entry.mail) for entry in connection.entries]
        finally:
            connection.unbind()
