"""A6 on ldap3: another certificate is taken for the old one's equal."""

from backwatch.attack.protocols.ldap import LDAP
from backwatch.attack.scenarios.ldap.referral import LdapReferral
from backwatch.attack.techniques.certificate import CertificateSwapped


class LdapSwapped(CertificateSwapped, LdapReferral):
    """ldap3 checks chain and name, and remembers nothing."""

    honest = LDAP
