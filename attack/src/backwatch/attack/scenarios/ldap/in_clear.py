"""A4 on ldap3, in an app that takes a refused StartTLS for a reason to log in in clear."""

from backwatch.attack.scenarios.ldap.starttls_refused import LdapRefused


class LdapInClear(LdapRefused):
    """The app catches ldap3's exception and goes on: the password is read on the way."""

    notices = "nothing"
    goes_on = True
