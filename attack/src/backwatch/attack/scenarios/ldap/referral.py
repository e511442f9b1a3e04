"""C9: an LDAP directory refers to another one, and the client logs in there with the same password."""

from backwatch.attack.authority import Authority
from backwatch.attack.protocols.ldap import BASE, LDAP
from backwatch.attack.protocols.server import LOOPBACK
from backwatch.attack.scenarios import SECRET
from backwatch.attack.techniques.ldap import LooksUpCustomers


class _Referring(LDAP):
    def __init__(self, authority: Authority) -> None:
        super().__init__(authority)
        elsewhere = self.attach(LDAP(authority, at_once=True))
        self.referral = b"ldaps://%s:%d/%s" % (LOOPBACK.encode(), elsewhere.port, BASE)


class LdapReferral(LooksUpCustomers):
    """ldap3 follows referrals to any host with the app's own login, unless configured otherwise."""

    code = "C9"
    attack = "refers the app to another directory, which is sent the password"
    reference = "https://datatracker.ietf.org/doc/html/rfc4511#section-4.1.10; ATT&CK T1557"
    rule = "redirected"
    server = _Referring
    captures = SECRET.encode()
