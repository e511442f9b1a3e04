"""A4 on ldap3, in an app that logs in in plaintext when StartTLS is refused."""

from backwatch.attack.scenarios.ldap.starttls_refused import LdapRefused


class LdapInClear(LdapRefused):
    """The app catches ldap3's exception and goes on. The password can be read on the network."""

    notices = "nothing"
    goes_on = True
