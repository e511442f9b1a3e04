"""A6 on ldap3: another certificate is taken for the old one's equal."""

from backwatch.attack.entries import run
from backwatch.attack.entries._certificate import CertificateSwapped
from backwatch.attack.entries.ldap_referral import LdapReferral
from backwatch.attack.protocols.ldap import LDAP


class LdapSwapped(CertificateSwapped, LdapReferral):
    """ldap3 checks chain and name, and remembers nothing."""

    honest = LDAP


if __name__ == "__main__":
    run(LdapSwapped)
