"""A4 on ldap3: the server refuses StartTLS, and the client stops."""

from backwatch.attack.protocols.ldap import LDAP
from backwatch.attack.techniques.ldap import LooksUpCustomers
from backwatch.attack.techniques.starttls import StartTLSHidden


class _StarttlsRefusingLdap(LDAP):
    refuses_tls = True


class LdapRefused(StartTLSHidden, LooksUpCustomers):
    """ldap3 raises if StartTLS is refused. The attempt must raise an alert all the same."""

    attack = "refuses StartTLS, and takes logins in clear"
    server = _StarttlsRefusingLdap
