"""A6 on ldap3: the client accepts another certificate of the same authority."""

from backwatch.attack.protocols.ldap import LDAP
from backwatch.attack.scenarios.ldap.referral import LdapReferral
from backwatch.attack.techniques.certificate import CertificateSwapped


class LdapSwapped(CertificateSwapped, LdapReferral):
    """ldap3 checks chain and name, and pins nothing."""

    honest = LDAP
