"""A6 on ldap3: the client accepts another certificate of the same authority."""

from backwatch.attack.techniques.certificate import CertificateSwapped
from backwatch.attack.techniques.ldap import LooksUpCustomers


class LdapSwapped(CertificateSwapped, LooksUpCustomers):
    """ldap3 checks chain and name, and pins nothing."""
